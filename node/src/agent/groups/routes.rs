//! What the Worker may ask of an agent's groups.

use std::rc::Rc;

use entente_lexicon::api::groups::{InviteMember, NewPost, RenameGroup};
use worker::{Method, Request, Response};

use crate::agent::core::Core;
use crate::auth::percent::decode;
use crate::error::ApiError;
use crate::routes::body;

impl Core {
    /// Answers what follows `/agents/:name` for groups; nothing if there is no such route.
    pub(in crate::agent) async fn group_route(
        self: &Rc<Self>,
        request: &mut Request,
    ) -> Result<Option<Response>, ApiError> {
        let path = request.path();
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let Some((&"groups", rest)) = parts.split_first() else {
            return Ok(None);
        };
        self.groups.prepare()?;
        let answer = match (request.method(), rest) {
            (Method::Post, []) => {
                let view = self.new_group(body::json(request).await?).await?;
                Response::from_json(&view)?.with_status(201)
            }
            (Method::Get, []) => Response::from_json(&self.list_groups()?)?,
            (Method::Get, ["settings"]) => Response::from_json(&self.group_settings()?)?,
            (Method::Put, ["settings"]) => {
                let settings = body::json(request).await?;
                Response::from_json(&self.set_group_settings(settings)?)?
            }
            (_, [id, rest @ ..]) => return self.one_group_route(request, id, rest).await,
            _ => return Ok(None),
        };
        Ok(Some(answer))
    }

    async fn one_group_route(
        self: &Rc<Self>,
        request: &mut Request,
        id: &str,
        rest: &[&str],
    ) -> Result<Option<Response>, ApiError> {
        let view = match (request.method(), rest) {
            (Method::Get, []) => {
                let me = self.identity()?;
                self.group_view(&me, &self.known_group(id)?)?
            }
            (Method::Patch, []) => {
                let RenameGroup { name } = body::json(request).await?;
                self.change_group(id, |group, fresh| group.rename(name, fresh))?
            }
            (Method::Delete, []) => match self.drop_group(id)? {
                Some(view) => view,
                None => return Ok(Some(Response::empty()?.with_status(204))),
            },
            (Method::Post, ["members"]) => {
                let InviteMember { member } = body::json(request).await?;
                self.invite(id, &member).await?
            }
            (Method::Delete, ["members", who]) => {
                let who = decode(who).unwrap_or_default();
                self.expel(id, &who).await?
            }
            (Method::Post, ["accept"]) => {
                self.change_group(id, |group, _| Ok(vec![group.accept()?]))?
            }
            (Method::Post, ["decline"]) => {
                self.change_group(id, |group, _| Ok(vec![group.decline()?]))?
            }
            (Method::Post, ["leave"]) => {
                self.change_group(id, |group, _| Ok(vec![group.leave()?]))?
            }
            (Method::Post, ["rekey"]) => {
                self.change_group(id, |group, fresh| group.rekey(fresh))?
            }
            (Method::Post, ["messages"]) => {
                let wish: NewPost = body::json(request).await?;
                let (view, new) = self.say_in_group(id, &wish)?;
                let status = if new { 202 } else { 200 };
                return Ok(Some(Response::from_json(&view)?.with_status(status)));
            }
            (Method::Get, ["messages"]) => {
                let list = self.list_posts(id, &request.query()?)?;
                return Ok(Some(Response::from_json(&list)?));
            }
            _ => return Ok(None),
        };
        Ok(Some(Response::from_json(&view)?))
    }
}

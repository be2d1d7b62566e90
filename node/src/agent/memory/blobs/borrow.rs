//! Borrowing: reading a blob of a record that another agent shares with this one.
//!
//! Nothing is kept. The owner's object lends the chunks of the range that is asked for, sealed under a
//! key that follows from the record's; they are opened here, one at a time, as they are passed on.
//! Whatever breaks that off, the reader goes on by `Range` from where it is.

use std::rc::Rc;
use std::time::Duration;

use entente_lexicon::address::AgentRef;
use entente_lexicon::blob::blob_refs;
use entente_lexicon::{Did, Recipient};
use entente_memory::repo::block::parse_cid_text;
use entente_trust::crypto::multikey::kid;
use entente_trust::memory::blob::{BlobLoan, BlobReader};
use entente_trust::proof::Signer;
use futures::future::{Either, select};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use url::form_urlencoded::Serializer;
use worker::{Delay, Headers, Request, Response};

use super::lend::outdated;
use super::read::{Body, Pieces, asked_range, respond};
use super::{Details, Place, busy, unknown_blob};
use crate::agent::contacts::{Contact, Route};
use crate::agent::core::Core;
use crate::agent::identity::Me;
use crate::agent::memory::records::object;
use crate::config::Config;
use crate::edge::signature::sign_get;
use crate::error::ApiError;
use crate::guard;
use crate::internal;
use crate::shapes::{LoanWish, Nothing};

/// So long a lender may be silent.
const STALL: Duration = Duration::from_secs(20);

impl Core {
    /// Answers with a blob that the record at `uri` refers to, or with a range of it.
    pub(super) async fn borrow_blob(
        self: &Rc<Self>,
        request: &Request,
        cid: &str,
        uri: &str,
    ) -> Result<Response, ApiError> {
        let me = self.identity()?;
        let (shared, dek, plain) = self.open_shared(&me, uri)?;
        let found = blob_refs(&object(&plain)?);
        let found = found.into_iter().find(|found| found.cid == cid);
        let found = found.ok_or_else(unknown_blob)?;
        let bytes = parse_cid_text(cid).map_err(|_error| unknown_blob())?;
        let place = shared.place();
        let loan = BlobLoan::new(&dek, &place, &bytes.to_bytes(), found.size);
        let reader = loan.map_err(|_error| unknown_blob())?.reader();
        let details = Details {
            cid: found.cid,
            mime: found.mime_type,
            size: found.size,
            header: Vec::new(),
        };
        let range = asked_range(request, details.size)?;
        if request.method() == worker::Method::Head {
            return respond(&details, range, None);
        }
        let readers = Place::take(&self.memory.blobs.readers, super::read::MAX_READERS);
        let readers = readers.ok_or_else(busy)?;
        let whole = range.clone().unwrap_or(0..details.size);
        let first = BlobReader::chunk_at(whole.start);
        let wish = LoanWish {
            reader: me.did.clone(),
            record: shared.path.to_string(),
            cid: details.cid.clone(),
            dek: shared.dek.to_string(),
            from: first,
            to: BlobReader::chunk_at(whole.end.saturating_sub(1)).saturating_add(1),
        };
        let owner = Recipient {
            agent: AgentRef::Did(shared.owner.clone()),
            host: Some(shared.host.parse().map_err(ApiError::internal)?),
        };
        let owner = self.contact_of(&owner).await?;
        let body = self.ask_lender(&me, &owner, &wish).await?;
        let pieces = Pieces::new(reader, body, first, whole, readers);
        respond(
            &details,
            range,
            Some(pieces.body().await.map_err(lent_badly)?),
        )
    }

    /// Asks the owner's object for chunks: of our network directly, of another one by a signed request,
    /// if policy lets anything of that agent in.
    async fn ask_lender(
        &self,
        me: &Me,
        owner: &Contact,
        wish: &LoanWish,
    ) -> Result<Body, ApiError> {
        let answer = match &owner.route {
            Route::Local { object } => {
                let stub = internal::agent(&self.env, object)?;
                let path = format!("/lend/chunks?{}", query(wish));
                internal::open(&stub, &path, &internal::new_request_id()).await?
            }
            Route::Link => {
                self.may_borrow(&owner.network, &owner.did).await?;
                let config = Config::from_env(&self.env)?;
                let target = guard::target(&config, &owner.host)?;
                let path = format!("/relay/agents/{}/blobs/{}", owner.did, wish.cid);
                let query = query(wish);
                let headers = Headers::new();
                let signer = Signer {
                    did: &me.did,
                    kid: &kid(&me.signing.verifying_key().to_multikey()),
                    key: &me.signing,
                };
                let authority = owner.host.as_str();
                sign_get(&headers, &signer, authority, (&path, Some(&query)))?;
                guard::open(&target, &format!("{path}?{query}"), headers).await?
            }
        };
        read_answer(answer).await
    }

    async fn may_borrow(&self, network: &Did, owner: &Did) -> Result<(), ApiError> {
        let stub = internal::link(&self.env, network)?;
        let path = format!("/admits?agent={owner}&direction=inbound");
        let Nothing {} = internal::get(&stub, &path, &internal::new_request_id()).await?;
        Ok(())
    }
}

fn query(wish: &LoanWish) -> String {
    Serializer::new(String::new())
        .append_pair("reader", wish.reader.as_str())
        .append_pair("record", &wish.record)
        .append_pair("cid", &wish.cid)
        .append_pair("dek", &wish.dek)
        .append_pair("from", &wish.from.to_string())
        .append_pair("to", &wish.to.to_string())
        .finish()
}

/// Takes the lender's chunks as they come, or says why there are none. What another network says
/// besides its status is not passed on.
async fn read_answer(mut answer: Response) -> Result<Body, ApiError> {
    match answer.status_code() {
        200 => {}
        404 | 410 => return Err(unknown_blob()),
        409 => return Err(outdated()),
        401 | 403 => return Err(withheld()),
        429 | 503 => return Err(busy()),
        _ => return Err(unreachable()),
    }
    let body = Box::pin(answer.stream()?);
    let watched = stream::try_unfold(body, |mut body| async move {
        match select(body.next(), Delay::from(STALL)).await {
            Either::Left((more, _)) => Ok(more.transpose()?.map(|more| (more, body))),
            Either::Right(((), _)) => Err(worker::Error::from("the lender is silent")),
        }
    });
    Ok(Box::pin(watched.into_stream()))
}

/// Makes the answer for what does not open: here nothing is stored that could be damaged.
fn lent_badly(error: ApiError) -> ApiError {
    ApiError {
        detail: Some(format!("{}: {:?}", error.code, error.detail)),
        ..ApiError::new(
            502,
            "BLOB_LENT_BADLY",
            "What the blob's owner sent does not open: it is not the blob that the record names. Try again; if it stays so, ask its owner.",
        )
    }
}

fn withheld() -> ApiError {
    ApiError::new(
        403,
        "BLOB_WITHHELD",
        "The network of the blob's owner does not let it out to this agent: ask its admin.",
    )
}

fn unreachable() -> ApiError {
    ApiError::new(
        502,
        "BLOB_UNREACHABLE",
        "The network of the blob's owner does not answer as it should: try again later; go on with a Range from where you are.",
    )
}

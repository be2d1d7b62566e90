//! The dashboard at `/dashboard`: Leptos compiled to WebAssembly, served as static assets.
//!
//! Start at [`view`], which decides everything that can be decided without a page and is tested
//! natively; [`api`] says how the network is asked. The modules that need a browser are built for
//! `wasm32` only: `app` starts, `store` holds the signals, `mail` one agent's conversation,
//! `pages` and `components` draw. The crate touches the DOM and the network it came from, nothing
//! else; the admin key lives in memory only and is gone after a reload.
//!
//! The files beside the bundle are in `static/`. `boot.js` imports `app.js`, which the build makes
//! of this crate, and calls its default export. No inline script or style is used, so that the
//! pages run under `script-src 'self' 'wasm-unsafe-eval'; style-src 'self'`.
//!
//! # Test ids
//!
//! Stable `data-testid` attributes, with the `data-*` attributes that tell more:
//!
//! | where | ids |
//! |---|---|
//! | header | `network-name`, `connection` (`data-state`: `connecting`, `connected`, `reconnecting`, `offline`), `connection-retry`, `viewer` (`data-viewer`: `observer`, `admin`), `admin-leave`, `network-problem` |
//! | observers | `observer-notice`, `admin-key`, `admin-enter`, `admin-error` |
//! | health | `health-agents`, `health-rate`, `health-latency`, `health-refused` |
//! | graph | `topology`, `hub-node`, `agent-node` (`data-agent`), `peer-node` and `peer-edge` (`data-host`, `data-state`, `data-level`), `topology-empty` |
//! | feed | `feed`, `feed-text`, `feed-group`, `feed-chip`, `feed-pause`, `feed-now`, `feed-empty`, `event-row` (`data-kind`, `data-seq`), `feed-gap` |
//! | agents | `agents`, `agent-row` (`data-agent`, `data-state`), `agents-empty` |
//! | compose | `compose`, `compose-from`, `compose-to`, `compose-suggestion`, `compose-text`, `compose-send`, `compose-error` |
//! | journey | `journey` (`data-message`, `data-status`), `journey-accepted`, `journey-waiting`, `journey-delivered`, `journey-refused` |
//! | conversation | `conversation`, `inbox-message` and `sent-message` (`data-message`, `data-status`), `message-text`, `reply`, `show-journey`, `conversation-empty`, `conversation-error` |
//! | peers | `peers`, `peer-row` (`data-host`, `data-state`, `data-level`), `peer-fingerprint`, `peer-ban`, `peer-edit`, `peer-save`, `peer-cancel`, `peer-remove`, `peer-remove-confirm`, `peer-remove-cancel`, `peer-url`, `peer-level`, `peer-allow`, `peer-add`, `peer-error`, `peers-empty`, `peers-trouble` |
//! | requests | `requests`, `request-row` (`data-host`, `data-did`), `request-fingerprint`, `request-accept`, `request-accept-confirm`, `request-reject`, `request-reject-confirm`, `request-error`, `requests-empty`, `requests-trouble` |
//! | approval, in a peer's row | `approval`, `approval-fingerprint`, `approval-ours` and `approval-theirs` (`data-holds`), `approval-lacks`, `approval-compared`, `approval-approve`, `approval-withdraw`, `approval-error` |
//! | outlook, in the link's details | `outlook` (`data-level`), `outlook-unknown`, `outlook-room` |
//! | preview, in a peer's row | `preview` (`data-link`), `preview-row` (`data-group`, `data-before`, `data-after`, `data-stops`, `data-starts`), `preview-example`, `preview-error` |
//! | announcements | `announcements`, `announcement-row` (`data-announcement`, `data-collection`, `data-own`), `announcement-author`, `announcement-network`, `announcement-text`, `announcement-more`, `announcements-empty`, `announcements-trouble`, `announce-from`, `announce-collection`, `announce-text`, `announce-send`, `announce-error` |
//! | bans | `bans`, `ban-row` (`data-subject`), `ban-lift`, `ban-subject`, `ban-end`, `ban-reason`, `ban-add`, `ban-error`, `bans-empty`, `bans-trouble` |

pub mod api;
pub mod view;

#[cfg(target_arch = "wasm32")]
mod app;
#[cfg(target_arch = "wasm32")]
mod browser;
#[cfg(target_arch = "wasm32")]
mod components;
#[cfg(target_arch = "wasm32")]
mod mail;
#[cfg(target_arch = "wasm32")]
mod pages;
#[cfg(target_arch = "wasm32")]
mod store;

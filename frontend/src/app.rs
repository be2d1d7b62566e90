//! Starts the page.
#![expect(unreachable_pub, reason = "wasm-bindgen exports only what is public")]

use leptos::mount::mount_to;
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::api::socket;
use crate::pages::Dashboard;
use crate::store::Store;

const ROOT_ID: &str = "app";
const BROKEN_ID: &str = "broken";

/// Draws the dashboard into the page. The bundle's default export calls this.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|info| {
        web_sys::console::error_1(&info.to_string().into());
        if let Some(notice) = document().get_element_by_id(BROKEN_ID) {
            let _ = notice.remove_attribute("hidden");
        }
    }));
    let root = document()
        .get_element_by_id(ROOT_ID)
        .and_then(|root| root.dyn_into::<web_sys::HtmlElement>().ok());
    let Some(root) = root else {
        web_sys::console::error_1(&"there is no element with the id `app`".into());
        return;
    };
    root.set_inner_html("");
    mount_to(root, || {
        let store = Store::start();
        provide_context(store);
        spawn_local(async move { socket::follow(store, None) });
        view! { <Dashboard/> }
    })
    .forget();
}

//! The JavaScript around a wasm module, made by wasm-bindgen's own library.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use wasm_bindgen_cli_support::Bindgen;

/// Part of every stamp: another generator makes other files.
pub(crate) const VERSION: &str = "0.2.130";

/// The call in the generated glue that runs when a handler trapped without a panic.
const ABORT_HOOK: &str = "function __wbg_call_abort_hook() {";

/// Closures and objects of an instance carry its number and refuse to work under another.
const INSTANCE_ID: &str = "let __wbg_instance_id = 0;";

/// Writes `glue.js` and `index_bg.wasm` for a Worker.
pub(crate) fn for_worker(wasm: &Path, folder: &Path, names: bool) -> Result<()> {
    let mut bindgen = Bindgen::new();
    bindgen
        .input_path(wasm)
        .out_name("index")
        .typescript(false)
        .remove_name_section(!names)
        .remove_producers_section(true);
    bindgen
        .module(true)?
        .reset_state_function(true)
        .force_enable_abort_handler(true);
    bindgen
        .generate(folder)
        .context("wasm-bindgen could not process the Worker")?;
    let made = folder.join("index.js");
    fs::write(
        folder.join("glue.js"),
        adapt_glue(&fs::read_to_string(&made)?)?,
    )?;
    fs::remove_file(made)?;
    Ok(())
}

/// Writes `app.js` and `app_bg.wasm` for a browser.
pub(crate) fn for_browser(wasm: &Path, folder: &Path, names: bool) -> Result<()> {
    let mut bindgen = Bindgen::new();
    bindgen
        .input_path(wasm)
        .out_name("app")
        .typescript(false)
        .remove_name_section(!names)
        .remove_producers_section(true);
    bindgen.web(true)?;
    bindgen
        .generate(folder)
        .context("wasm-bindgen could not process the dashboard")
}

/// Imports the module the way workerd knows, and adapts what happens when a handler traps: the shim
/// is told at once, and the instance counts as gone. Otherwise the first callback of the dead
/// instance would start the new one and then enter it with pointers of the old.
fn adapt_glue(glue: &str) -> Result<String> {
    if !glue.contains("import source ") || !glue.contains(ABORT_HOOK) || !glue.contains(INSTANCE_ID)
    {
        bail!(
            "wasm-bindgen's output does not look as expected: adapt build/bindgen.rs to this version"
        );
    }
    Ok(glue.replace("import source ", "import ").replacen(
        ABORT_HOOK,
        &format!("{ABORT_HOOK}\n__wbg_instance_id++;\nglobalThis.__entente_abort?.();"),
        1,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_glue_is_refused() {
        assert!(adapt_glue("import wasm from './x.wasm'").is_err());
    }

    #[test]
    fn glue_is_told_to_report_aborts() {
        let adapted = adapt_glue(&format!(
            "import source w from './x.wasm';\n{INSTANCE_ID}\n{ABORT_HOOK} }}"
        ))
        .unwrap();
        assert!(adapted.starts_with("import w from"));
        assert!(adapted.contains("__entente_abort"));
    }
}

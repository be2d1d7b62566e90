//! One page of one browser, with what the tests ask of it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use entente_e2e::wait::wait_until;
use playwright_rs::protocol::{Browser, Page, Playwright, ScreenshotOptions, Viewport, WebSocket};
use playwright_rs::{EmulateMediaOptions, LaunchOptions, Locator, ReducedMotion, expect};

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// As the root user Chromium needs the first; the rest keeps it from looking at the network.
const FLAGS: [&str; 7] = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];
const WIDE: Viewport = Viewport {
    width: 1280,
    height: 900,
};
const NARROW: Viewport = Viewport {
    width: 360,
    height: 800,
};

pub(crate) struct Screen {
    pub(crate) page: Page,
    browser: Browser,
    _playwright: Playwright,
    frames: Arc<Mutex<Vec<(String, String)>>>,
    errors: Arc<Mutex<Vec<String>>>,
}

impl Screen {
    /// Opens a page of a browser of its own.
    pub(crate) async fn open(url: &str) -> Self {
        let playwright = Playwright::launch()
            .await
            .expect("Playwright of node_modules starts");
        let flags = FLAGS.map(str::to_owned).to_vec();
        let options = LaunchOptions::new()
            .headless(true)
            .executable_path(chromium())
            .args(flags);
        let browser = playwright
            .chromium()
            .launch_with_options(options)
            .await
            .expect("Chromium starts");
        let page = browser.new_page().await.expect("a page");
        page.set_viewport_size(WIDE).await.expect("a size");
        // A colour half-way through its transition is neither theme's; asked of the page, since
        // Playwright's own default overrides what the browser is started with.
        let still = EmulateMediaOptions::builder().reduced_motion(ReducedMotion::Reduce);
        page.emulate_media(Some(still.build()))
            .await
            .expect("reduced motion");
        let frames = Arc::new(Mutex::new(Vec::new()));
        record_frames(&page, Arc::clone(&frames)).await;
        let errors = Arc::new(Mutex::new(Vec::new()));
        record_errors(&page, Arc::clone(&errors)).await;
        page.goto(url, None).await.expect("the dashboard loads");
        Self {
            page,
            browser,
            _playwright: playwright,
            frames,
            errors,
        }
    }

    pub(crate) async fn close(self) {
        self.browser.close().await.expect("the browser closes");
    }

    pub(crate) fn id(&self, id: &str) -> Locator {
        self.page.get_by_test_id(id)
    }

    /// Waits until an element's attribute has this value.
    pub(crate) async fn shows(&self, id: &str, attribute: &str, value: &str) {
        let found = expect(self.id(id))
            .with_timeout(PATIENCE)
            .to_have_attribute(attribute, value)
            .await;
        found.unwrap_or_else(|error| panic!("{id} never had {attribute}={value}: {error}"));
    }

    /// Waits until the first element that fits is visible, and returns it.
    pub(crate) async fn sees(&self, selector: &str) -> Locator {
        let found = self.page.locator(selector).first();
        let visible = expect(found.clone())
            .with_timeout(PATIENCE)
            .to_be_visible()
            .await;
        visible.unwrap_or_else(|error| panic!("{selector} never showed: {error}"));
        found
    }

    /// Waits until the chosen agent's inbox shows a message with this text, and returns it.
    pub(crate) async fn sees_letter(&self, text: &str) -> Locator {
        self.sees(&format!("[data-testid=inbox-message]:has-text(\"{text}\")"))
            .await
    }

    /// There is no such element.
    pub(crate) async fn lacks(&self, id: &str) {
        let none = expect(self.id(id)).to_have_count(0).await;
        none.unwrap_or_else(|error| panic!("{id} is there: {error}"));
    }

    /// Enters an admin key.
    pub(crate) async fn enter(&self, key: &str) {
        self.id("admin-key")
            .fill(key, None)
            .await
            .expect("the key's field");
        self.id("admin-enter")
            .click(None)
            .await
            .expect("the key's button");
    }

    /// Chooses as whom to write and whose mail to read.
    pub(crate) async fn choose(&self, from: &str) {
        let field = self.id("compose-from");
        expect(field.locator(format!("option[value={from}]")))
            .with_timeout(PATIENCE)
            .to_have_count(1)
            .await
            .unwrap();
        field.select_option(from, None).await.expect("the sender");
    }

    /// Sends a message from the compose box.
    pub(crate) async fn write(&self, from: &str, to: &str, text: &str) {
        self.choose(from).await;
        self.id("compose-to")
            .fill(to, None)
            .await
            .expect("the recipient");
        self.id("compose-text")
            .fill(text, None)
            .await
            .expect("the text");
        self.id("compose-send")
            .click(None)
            .await
            .expect("the button");
    }

    /// Everything the page says, in the document and in its attributes.
    pub(crate) async fn text(&self) -> String {
        self.page.content().await.expect("the page's content")
    }

    /// Waits until a frame with this text was recorded: the page may show what it says before the
    /// browser reports it.
    pub(crate) fn records(&self, text: &str) {
        tokio::task::block_in_place(|| {
            wait_until(&format!("a frame with {text}"), PATIENCE, || {
                self.frames().iter().any(|frame| frame.contains(text))
            });
        });
    }

    /// Every frame that came over any socket.
    pub(crate) fn frames(&self) -> Vec<String> {
        self.frames
            .lock()
            .unwrap()
            .iter()
            .map(|(_, frame)| frame.clone())
            .collect()
    }

    /// Every frame that came over the firehose.
    pub(crate) fn firehose_frames(&self) -> Vec<String> {
        let frames = self.frames.lock().unwrap();
        let firehose = frames
            .iter()
            .filter(|(url, _)| url.contains("/relay/firehose"));
        firehose.map(|(_, frame)| frame.clone()).collect()
    }

    /// What the page complained of in its console.
    pub(crate) fn errors(&self) -> Vec<String> {
        self.errors.lock().unwrap().clone()
    }

    pub(crate) async fn photograph(&self, name: &str) {
        let Some(folder) = std::env::var_os("ENTENTE_SCREENSHOTS").map(PathBuf::from) else {
            return;
        };
        std::fs::create_dir_all(&folder).expect("the folder for screenshots");
        // From the top: a full page shows a sticky header where the page was scrolled to.
        self.page
            .evaluate_expression("scrollTo(0, 0)")
            .await
            .expect("the page scrolls");
        let options = ScreenshotOptions::builder().full_page(true).build();
        let path = folder.join(format!("{name}.png"));
        self.page
            .screenshot_to_file(&path, options)
            .await
            .expect("a screenshot");
    }

    /// As on a phone. Nothing may be wider than the screen.
    pub(crate) async fn photograph_narrow(&self, name: &str) {
        self.page.set_viewport_size(NARROW).await.expect("a size");
        let overflow: i64 = self
            .page
            .evaluate(
                "() => document.documentElement.scrollWidth - window.innerWidth",
                None::<&()>,
            )
            .await
            .expect("the page's width");
        assert!(
            overflow <= 0,
            "the page is {overflow} px wider than a phone"
        );
        self.photograph(name).await;
        self.page.set_viewport_size(WIDE).await.expect("a size");
    }
}

async fn record_frames(page: &Page, frames: Arc<Mutex<Vec<(String, String)>>>) {
    let on_socket = move |socket: WebSocket| {
        let frames = Arc::clone(&frames);
        async move {
            let url = socket.url().to_owned();
            let on_frame = move |payload: String| {
                frames.lock().unwrap().push((url.clone(), payload));
                Box::pin(async { Ok(()) }) as _
            };
            socket.on_frame_received(on_frame).await
        }
    };
    page.on_websocket(on_socket)
        .await
        .expect("sockets are watched");
}

async fn record_errors(page: &Page, errors: Arc<Mutex<Vec<String>>>) {
    let on_console = move |message: playwright_rs::ConsoleMessage| {
        let errors = Arc::clone(&errors);
        async move {
            if message.type_() == "error" {
                errors.lock().unwrap().push(message.text().to_owned());
            }
            Ok(())
        }
    };
    page.on_console(on_console)
        .await
        .expect("the console is watched");
}

fn chromium() -> String {
    if let Ok(path) = std::env::var("CHROME_PATH") {
        return path;
    }
    let names = [
        "chromium",
        "chromium-browser",
        "google-chrome",
        "google-chrome-stable",
    ];
    let folders: Vec<_> =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let found = names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    let path = found.into_iter().find(|path| path.is_file());
    path.expect("a Chromium; set CHROME_PATH")
        .to_string_lossy()
        .into_owned()
}

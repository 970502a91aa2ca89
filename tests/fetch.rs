//! The downloader against a server on the loopback address that misbehaves in every way a server can.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use edgewalk::data::catalogue::Item;
use edgewalk::data::download::{FetchError, download, is_there};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// How long these servers may be silent.
pub const PATIENCE: Duration = Duration::from_millis(500);

/// What a server sends for a request that starts at the given byte, before it closes the connection.
pub type Answer = Box<dyn Fn(Option<usize>) -> Vec<u8> + Send>;

/// A server that gives one answer per request, in order, the last one for ever, and notes the bytes it was asked from.
pub struct Server {
    /// Its address.
    pub mirror: &'static str,
    log: Arc<Mutex<Vec<Option<usize>>>>,
}

impl Server {
    pub fn start(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mirror = format!("http://{}/", listener.local_addr().unwrap()).leak();
        let log = Arc::new(Mutex::new(vec![]));
        let noted = Arc::clone(&log);
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let mut stream = stream.unwrap();
                let from = requested_from(&stream);
                noted.lock().unwrap().push(from);
                let answer = answers[number.min(answers.len() - 1)](from);
                // A client that has seen enough may be gone.
                let _ = stream.write_all(&answer);
                if answer.is_empty() {
                    // Silence, for as long as the client listens.
                    let _ = stream.read(&mut [0]);
                }
            }
        });
        Self { mirror, log }
    }

    /// The first byte asked for by each request so far; `None`: the whole file.
    pub fn asked(&self) -> Vec<Option<usize>> {
        self.log.lock().unwrap().clone()
    }
}

/// Reads a request's head, and the first byte of its `Range`.
fn requested_from(stream: &TcpStream) -> Option<usize> {
    let lines = BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let range = lines.filter_map(|line| Some(line.to_lowercase().strip_prefix("range: bytes=")?.to_owned())).last()?;
    range.strip_suffix('-')?.parse().ok()
}

fn response(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}

fn whole(content: &[u8]) -> Vec<u8> {
    response("200 OK", &format!("Content-Length: {}\r\n", content.len()), content)
}

/// The rest of the content from a byte on.
fn rest(content: &[u8], from: usize) -> Vec<u8> {
    let (body, total) = (&content[from..], content.len());
    let headers = format!("Content-Length: {}\r\nContent-Range: bytes {from}-{}/{total}\r\n", body.len(), total - 1);
    response("206 Partial Content", &headers, body)
}

/// As a good server does: the whole, or what was asked for.
pub fn good(content: &'static [u8]) -> Answer {
    Box::new(move |from| from.map_or_else(|| whole(content), |from| rest(content, from)))
}

/// A server that knows no ranges.
fn plain(content: &'static [u8]) -> Answer {
    Box::new(move |_| whole(content))
}

/// An answer whose last `bytes` bytes never come.
fn cut(answer: Answer, bytes: usize) -> Answer {
    Box::new(move |from| {
        let answer = answer(from);
        answer[..answer.len() - bytes].to_vec()
    })
}

fn status(status: &'static str) -> Answer {
    Box::new(move |_| response(status, "Content-Length: 5\r\n", b"sorry"))
}

/// 200,000 bytes, different everywhere.
fn content() -> &'static [u8] {
    let numbers = (0..50_000_u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes());
    numbers.collect::<Vec<u8>>().leak()
}

pub fn item(name: &'static str, content: &[u8]) -> Item {
    let hex: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    Item { name, bytes: content.len() as u64, sha256: hex.leak() }
}

/// A file to download into a folder of its own.
struct Case {
    folder: TempDir,
    item: Item,
}

impl Case {
    fn new(content: &[u8]) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), item: item("data.bin", content) }
    }

    fn target(&self) -> PathBuf {
        self.folder.path().join("set").join("data.bin")
    }

    fn partial(&self) -> PathBuf {
        self.folder.path().join("set").join("data.bin.partial")
    }

    /// As if an earlier attempt had left this.
    fn left(&self, partial: &[u8]) {
        fs::create_dir_all(self.partial().parent().unwrap()).unwrap();
        fs::write(self.partial(), partial).unwrap();
    }

    fn from(&self, servers: &[&Server]) -> Result<bool, FetchError> {
        let mirrors: Vec<&str> = servers.iter().map(|server| server.mirror).collect();
        download(&self.item, &mirrors, &self.folder.path().join("set"), PATIENCE, &())
    }

    /// The download must end with the right file alone.
    fn succeeds(&self, servers: &[&Server]) {
        assert!(self.from(servers).unwrap());
        assert!(is_there(&self.item, &self.target()).unwrap());
        assert!(!self.partial().exists());
    }

    /// The download must fail with a message that contains each of `parts`, leaving no file but the partial one.
    fn fails(&self, servers: &[&Server], parts: &[&str], left: Option<&[u8]>) {
        let message = self.from(servers).unwrap_err().to_string();
        println!("{message}");
        let folder = format!("put it into {}", self.target().parent().unwrap().display());
        let file = format!("data.bin ({} bytes, SHA-256 {})", self.item.bytes, self.item.sha256);
        for part in parts.iter().copied().chain([&*folder, &file]).chain(servers.iter().map(|s| s.mirror)) {
            assert!(message.contains(part), "{part:?} is not in {message}");
        }
        assert!(!self.target().exists());
        assert_eq!(fs::read(self.partial()).ok().as_deref(), left);
    }
}

#[test]
fn a_good_answer_is_put_in_its_place_and_not_fetched_again() {
    // A million times "a" has a published SHA-256 (FIPS 180).
    let sha256 = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
    let content = vec![b'a'; 1_000_000].leak();
    let case = Case { item: Item { sha256, ..item("data.bin", content) }, ..Case::new(content) };
    let server = Server::start(vec![good(content)]);
    case.succeeds(&[&server]);
    assert_eq!(fs::read(case.target()).unwrap(), content);
    assert!(!case.from(&[&server]).unwrap());
    assert_eq!(server.asked(), [None]);
}

#[test]
fn a_broken_answer_is_resumed_where_it_broke() {
    let content = content();
    let case = Case::new(content);
    let server = Server::start(vec![cut(good(content), 150_000), cut(good(content), 50_000), good(content)]);
    case.succeeds(&[&server]);
    assert_eq!(server.asked(), [None, Some(50_000), Some(150_000)]);
    // Another mirror goes on where the first gave up.
    let case = Case::new(content);
    let first = Server::start(vec![cut(good(content), 150_000), status("503 Service Unavailable")]);
    let second = Server::start(vec![good(content)]);
    case.succeeds(&[&first, &second]);
    assert_eq!((first.asked(), second.asked()), (vec![None, Some(50_000)], vec![Some(50_000)]));
}

#[test]
fn what_an_earlier_attempt_left_is_not_fetched_again() {
    let content = content();
    let case = Case::new(content);
    case.left(&content[..123_456]);
    let server = Server::start(vec![good(content)]);
    case.succeeds(&[&server]);
    assert_eq!(server.asked(), [Some(123_456)]);
    // All of it was there, and only the renaming was missing.
    let case = Case::new(content);
    case.left(content);
    case.succeeds(&[&server]);
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn a_server_without_ranges_sends_the_whole_file_again() {
    let content = content();
    let case = Case::new(content);
    let server = Server::start(vec![cut(plain(content), 150_000), plain(content)]);
    case.succeeds(&[&server]);
    assert_eq!(server.asked(), [None, Some(50_000)]);
}

#[test]
fn a_server_that_disagrees_about_the_partial_file_is_asked_for_all_of_it() {
    let content = content();
    let other_total: Answer = Box::new(|from| rest(&[1; 300_000], from.unwrap()));
    let other_start: Answer = Box::new(|from| rest(content, from.unwrap() - 1));
    for answer in [status("416 Range Not Satisfiable"), other_total, other_start] {
        let case = Case::new(content);
        case.left(&content[..1000]);
        let server = Server::start(vec![answer, good(content)]);
        case.succeeds(&[&server]);
        assert_eq!(server.asked(), [Some(1000), None]);
    }
}

#[test]
fn a_partial_file_of_something_else_is_noticed_and_dropped() {
    let content = content();
    let server = Server::start(vec![good(content)]);
    let case = Case::new(content);
    case.left(&[7; 1000]);
    case.succeeds(&[&server]);
    assert_eq!(server.asked(), [Some(1000), None]);
    // As long as the file, or longer: nothing to go on from.
    for length in [content.len(), content.len() + 1] {
        let case = Case::new(content);
        case.left(&vec![7; length]);
        case.succeeds(&[&server]);
    }
    assert_eq!(server.asked()[2..], [None, None]);
}

#[test]
fn wrong_content_is_dropped_and_the_next_mirror_tried() {
    let content = content();
    let mut wrong = content.to_vec();
    wrong[199_999] ^= 1;
    let wrong: &'static [u8] = wrong.leak();
    let found = item("", wrong).sha256;
    let [bad, fine] = [wrong, content].map(|content| Server::start(vec![good(content)]));
    let case = Case::new(content);
    case.succeeds(&[&bad, &fine]);
    assert_eq!((bad.asked(), fine.asked()), (vec![None], vec![None]));
    Case::new(content).fails(&[&bad], &["sent other content", found], None);
}

#[test]
fn pages_in_place_of_the_file_do_not_cost_what_has_arrived() {
    let content = content();
    let page: Answer = Box::new(|_| whole(b"<html>Sign in to this network</html>"));
    let endless: Answer = Box::new(|_| response("200 OK", "", &[7; 1 << 20]));
    let server = Server::start(vec![page]);
    let case = Case::new(content);
    case.left(&content[..1000]);
    case.fails(&[&server], &["sent an HTML page in its place"], Some(&content[..1000]));
    // Without a length beforehand, it shows when there are too many or too few.
    let server = Server::start(vec![endless]);
    Case::new(content).fails(&[&server], &["bytes of something else"], None);
    let server = Server::start(vec![Box::new(|_| whole(b"Sign in"))]);
    Case::new(content).fails(&[&server], &["7 bytes of something else"], None);
    let server = Server::start(vec![Box::new(|_| response("200 OK", "", b"<html>"))]);
    Case::new(content).fails(&[&server], &["sent an HTML page in its place"], None);
}

#[test]
fn refusals_are_listed_mirror_by_mirror() {
    let content = content();
    let servers = ["404 Not Found", "500 Internal Server Error"].map(|text| Server::start(vec![status(text)]));
    let case = Case::new(content);
    case.fails(&[&servers[0], &servers[1]], &["answered 404", "answered 500", "cannot download data.bin"], None);
    assert!(servers.iter().all(|server| server.asked() == [None]));
    case.succeeds(&[&servers[0], &servers[1], &Server::start(vec![good(content)])]);
}

#[test]
fn without_a_network_it_says_which_file_to_put_where() {
    // A port that nothing listens on any more.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = Server { mirror: format!("http://{port}/").leak(), log: Arc::default() };
    Case::new(content()).fails(&[&nobody], &["data.bin: ", "when there is a network"], None);
}

#[test]
fn an_interrupted_download_leaves_what_arrived_and_no_file() {
    let content = content();
    // Each attempt but the second brings the file further; then the mirror is given up.
    let server = Server::start(vec![cut(plain(content), 150_000)]);
    let case = Case::new(content);
    case.fails(&[&server], &["broke off at byte 50000"], Some(&content[..50_000]));
    assert_eq!(server.asked(), [None, Some(50_000)]);
    case.succeeds(&[&Server::start(vec![good(content)])]);
}

/// Runs something that must not hang.
fn in_time(work: impl FnOnce() + Send + 'static) {
    let (done, wait) = mpsc::channel();
    std::thread::spawn(move || {
        work();
        done.send(()).unwrap();
    });
    wait.recv_timeout(20 * PATIENCE).expect("it panicked, or it hangs");
}

#[test]
fn a_silent_server_is_given_up() {
    let silent = Server::start(vec![Box::new(|_| vec![])]);
    in_time(move || Case::new(content()).fails(&[&silent], &["timeout"], None));
}

#[test]
fn a_server_that_falls_silent_is_given_up() {
    let content = content();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mirror = format!("http://{}/", listener.local_addr().unwrap()).leak();
    let begun = whole(content)[..1000].to_vec();
    let arrived = 1000 - (whole(content).len() - content.len());
    std::thread::spawn(move || {
        // Kept, so that no connection is ever closed.
        let mut streams = vec![];
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            requested_from(&stream);
            stream.write_all(&begun).unwrap();
            streams.push(stream);
        }
    });
    let stuck = Server { mirror, log: Arc::default() };
    let parts = [format!("broke off at byte {arrived}"), "timeout".into()];
    in_time(move || {
        let parts = parts.each_ref().map(String::as_str);
        Case::new(content).fails(&[&stuck], &parts, Some(&content[..arrived]));
    });
}

#[test]
fn a_file_of_the_users_is_never_overwritten() {
    let case = Case::new(content());
    fs::create_dir(case.folder.path().join("set")).unwrap();
    fs::write(case.target(), "my own").unwrap();
    let server = Server::start(vec![good(content())]);
    let message = case.from(&[&server]).unwrap_err().to_string();
    assert!(message.contains(case.target().to_str().unwrap()) && message.contains("move it away"), "{message}");
    assert_eq!(fs::read(case.target()).unwrap(), b"my own");
    assert!(server.asked().is_empty());
}

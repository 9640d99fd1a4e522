//! Settings by name, for everything that has settings.

use std::collections::BTreeMap;
use std::ffi::{CString, c_char};
use std::sync::{Mutex, MutexGuard, PoisonError};

use klog::config::nearest;
use klog::{ConsumerConfig, EngineConfig, ErrorCode, Mode, ProducerConfig, TopicConfig};

use crate::error::{c_text, klog_error};
use crate::guard::{Caller, Failure, enter, look, release};
use crate::handle::Handle;
use crate::status::klog_status;
use crate::status::klog_status_code::KLOG_E_CONFIG;

/// Settings by name, Kafka's where Kafka has one: "acks", "retention.ms", "auto.offset.reset". One config may serve an
/// engine, its topics, producers and consumers: each takes what is its own, copies it, and leaves the rest; the caller
/// frees it. NULL is all defaults. For klog_engine_open() there are also "mode" (r, rw, or rwc, which makes the directory
/// and is the default), "read.only" (true is mode r) and "assume.lost" (ids of brokers whose directories are gone for
/// good, with commas between). What brokers say for all topics, "log.retention.ms" for example, is for
/// klog_topic_configure() and klog_adopt().
#[derive(Debug)]
pub struct klog_config {
    settings: Mutex<Settings>,
}

/// What was set; `None` is back to the default.
type Settings = BTreeMap<String, Option<CString>>;

/// What is meant by no config at all.
static NO_CONFIG: klog_config = klog_config { settings: Mutex::new(BTreeMap::new()) };

impl Handle for klog_config {
    const NAME: &'static str = "config";
}

impl<'c> Caller<'c> {
    /// The config, or that of the defaults where it is NULL.
    pub(crate) fn config(&self, pointer: *const klog_config) -> &'c klog_config {
        self.optional(pointer).unwrap_or(&NO_CONFIG)
    }
}

/// A table of options.
pub(crate) trait Options: Default {
    fn names() -> Vec<&'static str>;
    fn put(&mut self, name: &str, value: &str) -> klog::Result<()>;
}

macro_rules! tables {
    ($($table:ident),*) => { $(
        impl Options for $table {
            fn names() -> Vec<&'static str> {
                $table::NAMES.to_vec()
            }
            fn put(&mut self, name: &str, value: &str) -> klog::Result<()> {
                self.set(name, value)
            }
        }
    )* };
}
tables!(Opening, EngineConfig, TopicConfig, ProducerConfig, ConsumerConfig);

/// What brokers say for all topics: settings of topics, by the names that brokers have for them.
#[derive(Debug, Default)]
pub(crate) struct OfBrokers(pub(crate) TopicConfig);

impl Options for OfBrokers {
    fn names() -> Vec<&'static str> {
        TopicConfig::BROKER_NAMES.iter().copied().flatten().collect()
    }

    fn put(&mut self, name: &str, value: &str) -> klog::Result<()> {
        let of_topics = TopicConfig::of_broker_name(name).unwrap_or(name);
        // What is refused is refused by the name that was given.
        self.0.set(of_topics, value).map_err(|error| match error.message().strip_prefix(of_topics) {
            Some(rest) => klog::Error::new(error.code(), format!("{name}{rest}")),
            None => error,
        })
    }
}

/// How to open an engine, beside the engine's own options.
#[derive(Debug, Default)]
pub(crate) struct Opening {
    mode: Option<Mode>,
    read_only: bool,
    pub(crate) assume_lost: Vec<i32>,
}

impl Opening {
    const NAMES: &'static [&'static str] = &["assume.lost", "mode", "read.only"];

    fn set(&mut self, name: &str, value: &str) -> klog::Result<()> {
        match (name, value) {
            ("assume.lost", ids) => {
                let ids: Result<_, _> = ids.split(',').map(|id| id.trim().parse()).collect();
                self.assume_lost = ids.map_err(|_| bad_value(name, value, "ids of brokers with commas between"))?;
            }
            ("mode", "r") => self.mode = Some(Mode::ReadOnly),
            ("mode", "rw") => self.mode = Some(Mode::ReadWrite),
            ("mode", "rwc") => self.mode = Some(Mode::Create),
            ("mode", _) => return Err(bad_value(name, value, "one of r, rw, rwc")),
            (_, "true") => self.read_only = true,
            (_, "false") => self.read_only = false,
            _ => return Err(bad_value(name, value, "true or false")),
        }
        Ok(())
    }

    pub(crate) fn mode(&self) -> Result<Mode, Failure> {
        match self.mode {
            Some(mode) if self.read_only && mode != Mode::ReadOnly => Err(Failure::new(
                KLOG_E_CONFIG,
                "read.only is true, and mode says that it is not; leave one of them out",
            )),
            _ if self.read_only => Ok(Mode::ReadOnly),
            mode => Ok(mode.unwrap_or_default()),
        }
    }
}

fn bad_value(name: &str, value: &str, must: &str) -> klog::Error {
    klog::Error::new(ErrorCode::InvalidConfig, format!("{name} is '{value}'; it must be {must}"))
}

impl klog_config {
    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What one table has a name for.
    pub(crate) fn read<T: Options>(&self) -> Result<T, Failure> {
        let mut options = T::default();
        for (name, value) in self.texts::<T>() {
            options.put(&name, &value)?;
        }
        Ok(options)
    }

    /// The same as text.
    pub(crate) fn texts<T: Options>(&self) -> BTreeMap<String, String> {
        let names = T::names();
        let known = self.changes().into_iter().filter(|(name, _)| names.contains(&name.as_str()));
        known.filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// Everything that was set.
    pub(crate) fn changes(&self) -> BTreeMap<String, Option<String>> {
        if std::ptr::eq(self, &raw const NO_CONFIG) {
            // All threads share it, so one of them may hold its lock when the process forks.
            return BTreeMap::new();
        }
        let text = |value: &CString| value.to_string_lossy().into_owned();
        self.settings().iter().map(|(name, value)| (name.clone(), value.as_ref().map(text))).collect()
    }
}

/// Calls the function of each table of options.
macro_rules! of_all_tables {
    ($function:ident ( $($argument:expr),* )) => {
        [
            $function::<Opening>($($argument),*),
            $function::<EngineConfig>($($argument),*),
            $function::<TopicConfig>($($argument),*),
            $function::<OfBrokers>($($argument),*),
            $function::<ProducerConfig>($($argument),*),
            $function::<ConsumerConfig>($($argument),*),
        ]
    };
}

/// Whether any table takes the setting. A name that is in several is good if it is good for one.
fn check(name: &str, value: Option<&str>) -> Result<(), Failure> {
    fn ask<T: Options>(name: &str, value: Option<&str>) -> Option<klog::Result<()>> {
        T::names().contains(&name).then(|| value.map_or(Ok(()), |value| T::default().put(name, value)))
    }
    let answers = of_all_tables!(ask(name, value)).into_iter().flatten();
    let answer = answers.reduce(|one, other| if one.is_ok() { one } else { other.or(one) });
    Ok(answer.unwrap_or_else(|| Err(unknown(name)))?)
}

fn unknown(name: &str) -> klog::Error {
    fn names<T: Options>() -> Vec<&'static str> {
        T::names()
    }
    let names = of_all_tables!(names()).concat();
    let hint = nearest(name, &names).map(|known| format!("; did you mean '{known}'?")).unwrap_or_default();
    klog::Error::new(ErrorCode::InvalidConfig, format!("there is no option '{name}'{hint}"))
}

/// Reads lines of `name=value`.
fn parse(text: &str) -> Result<Settings, Failure> {
    let mut settings = Settings::new();
    for (index, line) in text.lines().map(str::trim).enumerate() {
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let at_line = |mut failure: Failure| {
            failure.message = format!("line {}: {}", index + 1, failure.message);
            failure
        };
        let no_value = || at_line(Failure::new(KLOG_E_CONFIG, format!("'{line}' is not of the form name=value")));
        let (name, value) = line.split_once('=').ok_or_else(no_value)?;
        let (name, value) = (name.trim(), value.trim());
        check(name, Some(value)).map_err(at_line)?;
        settings.insert(name.to_owned(), Some(c_text(value)));
    }
    Ok(settings)
}

/// An empty config: all defaults. Free it with klog_config_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_config_new() -> *mut klog_config {
    // SAFETY: no pointer is given.
    unsafe { look(std::ptr::null_mut(), |_| Some(Box::into_raw(Box::new(klog_config { settings: Mutex::default() })))) }
}

/// Set a key. KLOG_E_CONFIG for an unknown key, which names the nearest known one, and for a bad value, which names the
/// bounds; nothing changes then. A value of NULL takes the key back to its default, also in klog_topic_configure(). Keys that
/// end in .ms are in ms, those that end in .bytes in bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_config_set(
    config: *mut klog_config,
    key: *const c_char,
    value: *const c_char,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        enter(error, |c| {
            let (config, key) = (c.handle(config)?, c.text(key, "key")?);
            let value = c.optional_text(value, "value")?;
            check(key, value)?;
            config.settings().insert(key.to_owned(), value.map(c_text));
            Ok(())
        })
    }
}

/// The same for lines of key=value; # begins a comment line. All lines are taken, or none: KLOG_E_CONFIG names the line.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_config_parse(
    config: *mut klog_config,
    text: *const c_char,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        enter(error, |c| {
            let (config, text) = (c.handle(config)?, c.text(text, "text")?);
            let mut settings = parse(text)?;
            config.settings().append(&mut settings);
            Ok(())
        })
    }
}

/// What the key was set to; NULL when it is not set. Lives until the key is set again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_config_get(config: *const klog_config, key: *const c_char) -> *const c_char {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        look(std::ptr::null(), |c| {
            let (config, key) = (c.handle(config).ok()?, c.text(key, "key").ok()?);
            Some(config.settings().get(key)?.as_ref()?.as_ptr())
        })
    }
}

/// Free a config. NULL does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_config_free(config: *mut klog_config) {
    // SAFETY: as the header says of every X_free.
    unsafe { release(config) }
}

//! `include/klog.h` is what the code says, and compiles without a warning.
//!
//! After a change of an exported function: `KLOG_BLESS=1 cargo test -p klog-c`.

use std::fs;
use std::process::Command;

use crate::library::{bin, repository, run};

/// The files that the header is made of, in the order in which it is to be read, and what stands above the functions of each.
const NOUNS: [(&str, &str); 15] = [
    ("status", "status"),
    ("error", "errors"),
    ("library", "the library"),
    ("config", "configuration"),
    ("engine", "engine"),
    ("rows", "rows"),
    ("adopt", "adoption"),
    ("admin", "admin"),
    ("topic", "topics and partitions"),
    ("inspect", "what is on the disk"),
    ("attached", "who is attached, and what is counted"),
    ("message", ""),
    ("producer", "producer"),
    ("consumer", "consumer"),
    ("batch", "batch"),
];

fn generate() -> String {
    let own = |file: &str| repository("bindings-c").join(file);
    let mut config = cbindgen::Config::from_file(own("cbindgen.toml")).expect("cbindgen.toml is right");
    config.after_includes = config.after_includes.map(|text| {
        let number =
            [env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR"), env!("CARGO_PKG_VERSION_PATCH")]
                .iter()
                .fold(0, |number, part| number * 100 + part.parse::<i32>().expect("a number"));
        text.replace("@VERSION@", env!("CARGO_PKG_VERSION")).replace("@NUMBER@", &number.to_string())
    });
    let mut builder = cbindgen::Builder::new().with_config(config);
    for (noun, _) in NOUNS {
        builder = builder.with_src(own(&format!("src/{noun}.rs")));
    }
    let mut header = Vec::new();
    builder.generate().expect("the header can be made").write(&mut header);
    with_banners(&tidy(&String::from_utf8(header).expect("the header is UTF-8")))
}

/// Sets comments in lines of a comfortable length, and puts `KLOG_API` on the line of its function.
fn tidy(header: &str) -> String {
    let mut tidied = String::new();
    let mut lines = header.lines();
    while let Some(line) = lines.next() {
        let indent = " ".repeat(line.len() - line.trim_start().len());
        if line.trim() == "/**" {
            let text: Vec<&str> = lines
                .by_ref()
                .map(|line| line.trim().trim_start_matches('*').trim())
                .take_while(|line| *line != "/")
                .collect();
            tidied += &comment(&indent, &text.join(" "));
        } else if line == "KLOG_API" {
            let declaration = lines.next().expect("a function follows");
            tidied.extend(["KLOG_API ", declaration, "\n"]);
            if !declaration.ends_with(';') {
                for more in lines.by_ref() {
                    tidied.extend(["         ", more, "\n"]);
                    if more.ends_with(';') {
                        break;
                    }
                }
            }
        } else {
            tidied.extend([line, "\n"]);
        }
    }
    tidied
}

fn comment(indent: &str, text: &str) -> String {
    const WIDTH: usize = 84;
    let mut comment = format!("{indent}/**");
    let mut width = comment.len();
    for word in text.split_whitespace() {
        // The end of the comment needs room behind the last word.
        if width + 1 + word.len() + 3 > WIDTH {
            comment.extend(["\n", indent, " * "]);
            width = indent.len() + 3;
        }
        comment.extend([" ", word]);
        width += 1 + word.len();
    }
    comment + " */\n"
}

/// Puts a line above the first function of each noun.
fn with_banners(header: &str) -> String {
    let mut header = header.to_owned();
    for (noun, title) in NOUNS.into_iter().filter(|(_, title)| !title.is_empty()) {
        let source = fs::read_to_string(repository(&format!("bindings-c/src/{noun}.rs"))).expect("the source is there");
        let first = source.split("extern \"C\" fn klog_").nth(1).and_then(|it| it.split('(').next());
        let first = format!("klog_{}(", first.expect("it exports a function"));
        let line = header.lines().find(|line| line.starts_with("KLOG_API") && line.contains(&first));
        let line = line.unwrap_or_else(|| panic!("{first}…) is not in the header")).to_owned();
        let declaration = header.find(&line).expect("the line is there");
        // Its comment begins behind the last empty line.
        let at = header[..declaration].rfind("\n\n").map_or(declaration, |at| at + 2);
        let dashes = "-".repeat(74 - title.len());
        header.insert_str(at, &format!("/* {dashes} {title} */\n\n"));
    }
    header
}

#[test]
fn the_header_is_what_the_code_says() {
    let generated = generate();
    if std::env::var_os("KLOG_BLESS").is_some() {
        fs::write(repository("include/klog.h"), &generated).expect("include/klog.h can be written");
    }
    let committed = fs::read_to_string(repository("include/klog.h")).unwrap_or_default();
    if let Some((line, (old, new))) =
        committed.lines().zip(generated.lines()).enumerate().find(|(_, (old, new))| old != new)
    {
        panic!("line {} of include/klog.h is\n{old}\nand should be\n{new}\nKLOG_BLESS=1 writes it anew", line + 1);
    }
    assert_eq!(committed.len(), generated.len(), "include/klog.h ends too early or too late");
}

#[test]
fn the_header_has_the_version_of_cargo() {
    assert!(header().contains(&format!("#define KLOG_VERSION \"{}\"\n", env!("CARGO_PKG_VERSION"))));
}

/// The header alone, twice, before anything else.
fn compiles(compiler: &str, standard: &str, extension: &str) {
    let source = bin(&format!("only-the-header-{standard}.{extension}"));
    let program = "#include \"klog.h\"\n#include \"klog.h\"\nint main(void) { return KLOG_VERSION_NUMBER == 0; }\n";
    fs::write(&source, program).expect("a program can be written");
    let mut command = Command::new(compiler);
    command.arg(format!("-std={standard}")).args([
        "-pedantic",
        "-Wall",
        "-Wextra",
        "-Wshadow",
        "-Wconversion",
        "-Werror",
    ]);
    run(command.arg("-fsyntax-only").arg("-I").arg(repository("include")).arg(&source));
}

#[test]
fn the_header_compiles_without_a_warning_as_c99() {
    compiles("cc", "c99", "c");
}

#[test]
fn the_header_compiles_without_a_warning_as_c11() {
    compiles("cc", "c11", "c");
}

#[test]
fn the_header_compiles_without_a_warning_as_cpp_11() {
    compiles("c++", "c++11", "cpp");
}

#[test]
fn the_header_compiles_without_a_warning_as_cpp_20() {
    compiles("c++", "c++20", "cpp");
}

/// The header, as it is committed.
fn header() -> String {
    fs::read_to_string(repository("include/klog.h")).expect("include/klog.h is there")
}

/// Names of the functions that the header declares, in its order.
pub(crate) fn declared() -> Vec<String> {
    let name = |declaration: &str| {
        let before = declaration.split('(').next().unwrap_or_default();
        before.rsplit([' ', '*']).next().unwrap_or_default().to_owned()
    };
    header().split("\nKLOG_API ").skip(1).map(name).collect()
}

#[test]
fn every_function_is_described() {
    let header = header();
    let before: Vec<&str> = header.split("\nKLOG_API ").collect();
    for (name, text) in declared().iter().zip(before) {
        let comment = text.rfind("/**").map(|at| &text[at..]).filter(|comment| comment.ends_with(". */"));
        assert!(comment.is_some_and(|comment| comment.len() > 10), "{name} is not described");
    }
}

#[test]
fn every_function_is_called_by_a_program_in_c() {
    let mut programs = String::new();
    for folder in ["tests/c", "examples/c"] {
        for entry in fs::read_dir(repository(folder)).expect("the folder is there") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|extension| extension == "c") {
                programs += &fs::read_to_string(path).expect("a text");
            }
        }
    }
    let uncalled: Vec<_> = declared().into_iter().filter(|name| !programs.contains(&format!("{name}("))).collect();
    assert!(uncalled.is_empty(), "no program calls {uncalled:?}");
}

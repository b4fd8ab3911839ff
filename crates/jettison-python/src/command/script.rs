//! Console scripts and programs: what is started without a server of its own.

use super::modules::Modules;
use super::{CommandError, Context, DEFAULT_PORT, Detected, Found, HOW, Kind};
use crate::syntax::{Call, Expr, Module};

/// What starts a server from a program, with the port where none is given and the parameters that name host and port.
const RUNNERS: &[(&str, u16, &str, &str)] = &[
    ("uvicorn.run", 8000, "host", "port"),
    ("hypercorn.run", 8000, "bind", "bind"),
    ("waitress.serve", 8080, "host", "port"),
    ("aiohttp.web.run_app", 8080, "host", "port"),
    ("bottle.run", 8080, "host", "port"),
    ("gradio.Interface.launch", 7860, "server_name", "server_port"),
    ("wsgiref.simple_server.make_server", 8000, "", ""),
    ("http.server.HTTPServer", 8000, "", ""),
    ("http.server.ThreadingHTTPServer", 8000, "", ""),
];

/// Servers that listen on the loopback interface unless they are told otherwise.
const LOOPBACK_BY_DEFAULT: [&str; 3] = ["uvicorn.run", "bottle.run", "gradio.Interface.launch"];

/// The names of console scripts that start a service.
const SERVING: [&str; 7] = ["serve", "server", "start", "web", "run", "app", "api"];

/// The console script of the project to start: where it starts a server, or where there is no web application to serve.
pub(super) fn console(
    context: &Context<'_>,
    modules: &mut Modules<'_>,
    is_web: bool,
) -> Result<Option<Found>, CommandError> {
    let scripts = &context.project.scripts;
    if scripts.is_empty() {
        return Ok(None);
    }
    let shown = "[project.scripts]";
    if !context.project.is_package {
        modules.looked(shown, "not used: the project is not installed, having no [build-system]");
        return Ok(None);
    }
    let own = context.project.name.as_ref().map(|name| name.as_str().to_owned());
    let mut candidates: Vec<(&String, &String, Option<Listens>)> = Vec::new();
    for (name, target) in scripts {
        candidates.push((name, target, listens_of(modules, target)?));
    }
    let serving: Vec<_> = candidates.iter().filter(|(_, _, listens)| listens.is_some()).collect();
    let named = candidates.iter().find(|(name, _, _)| SERVING.contains(&name.as_str()));
    let own = candidates.iter().find(|(name, _, _)| own.as_ref() == Some(&name.replace('_', "-").to_ascii_lowercase()));
    let chosen = match (&serving[..], &candidates[..]) {
        ([only], _) => Some(*only),
        (_, _) if is_web => None,
        (_, [only]) => Some(only),
        _ => own.or(named),
    };
    let Some((name, target, listens)) = chosen else {
        let names: Vec<_> = scripts.keys().map(String::as_str).collect();
        if is_web {
            modules.looked(shown, format!("not used: {} starts no server that can be seen", names.join(", ")));
            return Ok(None);
        }
        modules.looked(shown, format!("has several: {}", names.join(", ")));
        let why = format!("the project has several console scripts: {}", names.join(", "));
        return Ok(Some(Found::unclear(why, format!("say which one: `[tool.jettison] command = [\"{}\"]`", names[0]))));
    };
    modules.looked(shown, format!("`{name}` is {target}"));
    if let Some(path) = file_of_target(modules, target) {
        modules.check(&path)?;
    }
    Ok(Some(Found::Command(Box::new(Detected {
        argv: vec![(*name).clone()],
        env: Vec::new(),
        port: listens.as_ref().map(|listens| listens.port),
        kind: Kind::Script,
        module: target.split(':').next().map(str::to_owned),
        import_root: String::new(),
        reason: format!("`{name}` is a console script of the project"),
        warnings: listens.as_ref().and_then(|listens| listens.warning.clone()).into_iter().collect(),
        looked_at: Vec::new(),
    }))))
}

/// A program: `python -m package`, or `python main.py`.
pub(super) fn program(context: &Context<'_>, modules: &mut Modules<'_>) -> Result<Option<Found>, CommandError> {
    let candidates = modules.candidates();
    if context.has("streamlit") {
        for path in &candidates {
            let Some(parsed) = modules.parse(path)? else { continue };
            if parsed.module.imports.values().any(|origin| origin == "streamlit") && !path.contains("pages/") {
                parsed.check()?;
                let port = context.port.to_string();
                let words = [
                    "streamlit",
                    "run",
                    path,
                    "--server.address",
                    "0.0.0.0",
                    "--server.port",
                    &port,
                    "--server.headless",
                    "true",
                ];
                let words = words.map(str::to_owned).to_vec();
                modules.looked(path, "uses Streamlit");
                return Ok(Some(command(modules, path, words, Some(context.port), None, "uses Streamlit")));
            }
        }
    }
    let packages: Vec<&String> = candidates.iter().filter(|path| path.ends_with("/__main__.py")).collect();
    let own = context.project.name.as_ref().map(|name| format!("{}/__main__.py", name.escaped()));
    let chosen = packages.iter().find(|path| own.as_ref().is_some_and(|own| path.ends_with(own.as_str())));
    if let Some(path) = chosen.or(if packages.len() == 1 { packages.first() } else { None }) {
        let Some(parsed) = modules.parse(path)? else { return Ok(None) };
        parsed.check()?;
        let (_, module) = modules.place(path, &parsed.module);
        let package = module.trim_end_matches(".__main__").to_owned();
        let listens = listens(&parsed.module);
        modules.looked(path, format!("`{package}` runs as a program"));
        let argv = ["python", "-m", &package].map(str::to_owned).to_vec();
        let port = listens.as_ref().map(|listens| listens.port);
        return Ok(Some(command(
            modules,
            path,
            argv,
            port,
            listens.and_then(|l| l.warning),
            "is the program of its package",
        )));
    }
    let mut programs = Vec::new();
    for path in candidates
        .iter()
        .filter(|path| !path.contains('/') || path.starts_with("src/") && path.matches('/').count() == 1)
    {
        let Some(parsed) = modules.parse(path)? else { continue };
        let name = path.rsplit('/').next().unwrap_or_default();
        let is_main = matches!(name, "main.py" | "app.py" | "run.py" | "server.py" | "__main__.py");
        if parsed.module.main_guard.is_some()
            || (is_main && (parsed.module.has_statements || parsed.module.syntax_error.is_some()))
        {
            programs.push((path.clone(), is_main));
        }
    }
    let path = match &programs[..] {
        [] => return Ok(None),
        [(path, _)] => path,
        // The candidates are sorted by how likely their names are.
        [(path, true), ..] => path,
        several => {
            let names: Vec<_> = several.iter().map(|(path, _)| path.as_str()).collect();
            names.iter().for_each(|path| modules.looked(path, "runs as a program"));
            return Ok(Some(Found::unclear(format!("there are several programs: {}", names.join(", ")), HOW)));
        }
    };
    let Some(parsed) = modules.parse(path)? else { return Ok(None) };
    parsed.check()?;
    let listens = listens(&parsed.module);
    modules.looked(path, "runs as a program");
    let port = listens.as_ref().map(|listens| listens.port);
    let argv = vec!["python".to_owned(), path.clone()];
    Ok(Some(command(modules, path, argv, port, listens.and_then(|l| l.warning), "runs as a program")))
}

fn command(
    modules: &Modules<'_>,
    path: &str,
    argv: Vec<String>,
    port: Option<u16>,
    warning: Option<String>,
    why: &str,
) -> Found {
    let (import_root, module) = modules.place(path, &Module::default());
    Found::Command(Box::new(Detected {
        argv,
        env: Vec::new(),
        port,
        kind: Kind::Program,
        module: Some(module),
        import_root,
        reason: format!("{path} {why}"),
        warnings: warning.into_iter().collect(),
        looked_at: Vec::new(),
    }))
}

/// A server that a program starts itself.
struct Listens {
    port: u16,
    warning: Option<String>,
}

fn file_of_target(modules: &Modules<'_>, target: &str) -> Option<String> {
    let module = target.split([':', '[']).next().unwrap_or_default().trim();
    modules.file_of("", module).or_else(|| modules.file_of("src", module))
}

/// The server that the module of a console script starts.
fn listens_of(modules: &mut Modules<'_>, target: &str) -> Result<Option<Listens>, CommandError> {
    let Some(path) = file_of_target(modules, target) else { return Ok(None) };
    Ok(modules.parse(&path)?.and_then(|parsed| listens(&parsed.module)))
}

/// The server that a module starts: `uvicorn.run(app, port=8000)`, or the `run` method of an application object.
fn listens(module: &Module) -> Option<Listens> {
    module.calls.iter().find_map(|call| {
        if let Some(&(callee, default, host, port)) = RUNNERS.iter().find(|(callee, ..)| *callee == call.callee) {
            return Some(listens_at(module, call, default, host, port, LOOPBACK_BY_DEFAULT.contains(&callee)));
        }
        // `app.run(host=…, port=…)` of Flask, Quart, Sanic and Dash.
        let object = call.callee.strip_suffix(".run")?;
        let made_by = match &module.binding(object)?.value {
            Expr::Call(made) => made.callee.as_str(),
            _ => return None,
        };
        let default = match made_by.rsplit('.').next()? {
            "Flask" | "Quart" => 5000,
            "Sanic" => 8000,
            "Dash" => 8050,
            _ => return None,
        };
        Some(listens_at(module, call, default, "host", "port", true))
    })
}

fn listens_at(module: &Module, call: &Call, default: u16, host: &str, port: &str, loopback: bool) -> Listens {
    let literal = |name: &str| call.keyword(name).map(|value| module.literal(value));
    let port = match literal(port) {
        Some(Expr::Int(port)) => u16::try_from(*port).unwrap_or(default),
        Some(_) => DEFAULT_PORT,
        None => default,
    };
    let host = match literal(host) {
        Some(Expr::Str(host)) => Some(host.as_str()),
        Some(_) => None,
        None if loopback => Some("127.0.0.1"),
        None => None,
    };
    let warning = host.filter(|host| matches!(*host, "127.0.0.1" | "localhost" | "::1")).map(|host| {
        format!(
            "line {}: it listens on {host}, where nothing outside the container can reach it: pass host=\"0.0.0.0\"",
            call.line
        )
    });
    Listens { port, warning }
}

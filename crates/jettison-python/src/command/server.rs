//! The server for an application, from those that the dependencies hold.

use super::app::{App, Interface};
use super::modules::Modules;
use super::{CommandError, Context, Detected, Found, Kind};

/// The command that serves `app`.
pub(super) fn serve(context: &Context<'_>, modules: &mut Modules<'_>, app: &App) -> Result<Found, CommandError> {
    modules.check(&app.path)?;
    let target = app.target();
    let factory = app.is_factory;
    let Some(Command { argv, kind, warning }) = command(context, app.interface(), &target, factory, app) else {
        let servers = match app.framework.interface {
            Interface::Asgi => "uvicorn, hypercorn or granian",
            Interface::Wsgi => "gunicorn, waitress or granian",
        };
        return Ok(Found::unclear(
            format!(
                "`{}` in {} is a {} application, but no server for it is among the dependencies",
                app.object, app.path, app.framework.name
            ),
            format!("add {servers} to the dependencies"),
        ));
    };
    let made = if factory { " makes" } else { " is" };
    let reason = format!("`{}` in {}{made} a {} application", app.object, app.path, app.framework.name);
    Ok(Found::Command(Box::new(Detected {
        reason: format!("{reason}, and {} is among the dependencies", argv[0]),
        argv,
        env: Vec::new(),
        port: Some(context.port),
        kind,
        module: Some(app.module.clone()),
        import_root: app.import_root.clone(),
        warnings: warning.into_iter().collect(),
        looked_at: Vec::new(),
    })))
}

impl App {
    fn interface(&self) -> Interface {
        self.framework.interface
    }
}

pub(super) struct Command {
    pub(super) argv: Vec<String>,
    pub(super) kind: Kind,
    pub(super) warning: Option<String>,
}

/// Why a framework's own server is a poor choice, for a warning.
fn development(framework: &str, better: &str) -> String {
    format!(
        "{framework}'s development server is used: it is slow and not meant for production; add {better} to the dependencies"
    )
}

/// The command for an application that speaks `interface`; `None` where no server for it is there.
fn command(context: &Context<'_>, interface: Interface, target: &str, factory: bool, app: &App) -> Option<Command> {
    if let Some(argv) = server(context, interface, target, factory) {
        let kind = if interface == Interface::Asgi { Kind::Asgi } else { Kind::Wsgi };
        return Some(Command { argv, kind, warning: None });
    }
    let port = context.port.to_string();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    match app.framework.name {
        "FastAPI" if context.has("fastapi-cli") && !factory => Some(Command {
            argv: words(&["fastapi", "run", &app.path, "--host", "0.0.0.0", "--port", &port]),
            kind: Kind::Asgi,
            warning: None,
        }),
        "Sanic" => {
            let factory = if factory { &["--factory"][..] } else { &[] };
            let argv = words(
                &[&["sanic", target, "--host", "0.0.0.0", "--port", &port, "--single-process"], factory].concat(),
            );
            Some(Command { argv, kind: Kind::Asgi, warning: None })
        }
        "Quart" => Some(Command {
            argv: words(&["quart", "--app", target, "run", "--host", "0.0.0.0", "--port", &port]),
            kind: Kind::Development,
            warning: Some(development("Quart", "hypercorn")),
        }),
        "Flask" => Some(Command {
            argv: words(&["flask", "--app", target, "run", "--host", "0.0.0.0", "--port", &port]),
            kind: Kind::Development,
            warning: Some(development("Flask", "gunicorn")),
        }),
        _ => None,
    }
}

/// The command line of the first server that is there. gunicorn goes before uvicorn only where the project asks for both, which is
/// how its worker class is used.
pub(super) fn server(context: &Context<'_>, interface: Interface, target: &str, factory: bool) -> Option<Vec<String>> {
    let port = context.port.to_string();
    let bind = format!("0.0.0.0:{port}");
    let called = if factory { format!("{target}()") } else { target.to_owned() };
    let flag = |flag: &'static str| if factory { vec![flag] } else { Vec::new() };
    let worker =
        if context.has("uvicorn-worker") { "uvicorn_worker.UvicornWorker" } else { "uvicorn.workers.UvicornWorker" };
    let both =
        ["gunicorn", "uvicorn"].iter().all(|name| context.declared.contains(name)) || context.has("uvicorn-worker");
    let asgi = interface == Interface::Asgi;
    let argv: Vec<&str> = match interface {
        Interface::Asgi if both && context.has("gunicorn") => {
            vec!["gunicorn", &called, "--worker-class", worker, "--bind", &bind]
        }
        Interface::Asgi if context.has("uvicorn") => {
            [vec!["uvicorn", target, "--host", "0.0.0.0", "--port", &port], flag("--factory")].concat()
        }
        Interface::Wsgi if context.has("gunicorn") => vec!["gunicorn", &called, "--bind", &bind],
        _ if context.has("hypercorn") => vec!["hypercorn", &called, "--bind", &bind],
        _ if context.has("granian") => {
            let interface = if asgi { "asgi" } else { "wsgi" };
            let words = vec!["granian", "--interface", interface, "--host", "0.0.0.0", "--port", &port, target];
            [words, flag("--factory")].concat()
        }
        Interface::Asgi if context.has("daphne") && !factory => vec!["daphne", "-b", "0.0.0.0", "-p", &port, target],
        Interface::Wsgi if context.has("waitress") => {
            let listen = format!("--listen={bind}");
            let words = [vec!["waitress-serve"], flag("--call")].concat();
            return Some(words.into_iter().map(str::to_owned).chain([listen, target.to_owned()]).collect());
        }
        Interface::Wsgi if context.has("uwsgi") => {
            vec!["uwsgi", "--http-socket", &bind, "--master", "--die-on-term", "--module", &called]
        }
        _ => return None,
    };
    Some(argv.into_iter().map(str::to_owned).collect())
}

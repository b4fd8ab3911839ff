//! Application objects and factories of web frameworks, found in the source.

use super::modules::{LIKELY, Modules};
use super::{CommandError, Context};
use crate::syntax::{Expr, Module};

/// How a framework's applications are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interface {
    /// PEP 3333.
    Wsgi,
    /// ASGI 3.
    Asgi,
}

/// A web framework.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Framework {
    /// Its name.
    pub name: &'static str,
    /// What its applications speak.
    pub interface: Interface,
    /// The attribute of the object that is the application, where it is not the object itself.
    attribute: Option<&'static str>,
    /// What makes an application, by qualified names.
    makers: &'static [&'static str],
}

const fn framework(name: &'static str, interface: Interface, makers: &'static [&'static str]) -> Framework {
    Framework { name, interface, attribute: None, makers }
}

/// The frameworks that are known.
const FRAMEWORKS: &[Framework] = &[
    framework("FastAPI", Interface::Asgi, &["fastapi.FastAPI", "fastapi.applications.FastAPI"]),
    framework("Starlette", Interface::Asgi, &["starlette.applications.Starlette"]),
    framework("Litestar", Interface::Asgi, &["litestar.Litestar", "litestar.app.Litestar", "starlite.Starlite"]),
    framework("Quart", Interface::Asgi, &["quart.Quart", "quart.app.Quart"]),
    framework("Sanic", Interface::Asgi, &["sanic.Sanic", "sanic.app.Sanic"]),
    framework("BlackSheep", Interface::Asgi, &["blacksheep.Application", "blacksheep.server.Application"]),
    framework("Falcon", Interface::Asgi, &["falcon.asgi.App"]),
    framework("Connexion", Interface::Asgi, &["connexion.AsyncApp", "connexion.FlaskApp", "connexion.App"]),
    framework("Socket.IO", Interface::Asgi, &["socketio.ASGIApp"]),
    framework(
        "Flask",
        Interface::Wsgi,
        &["flask.Flask", "flask.app.Flask", "apiflask.APIFlask", "flask_openapi3.OpenAPI"],
    ),
    framework("Falcon", Interface::Wsgi, &["falcon.App", "falcon.API"]),
    framework("Bottle", Interface::Wsgi, &["bottle.Bottle", "bottle.default_app"]),
    framework("Pyramid", Interface::Wsgi, &["pyramid.config.Configurator.make_wsgi_app"]),
    Framework {
        name: "Dash",
        interface: Interface::Wsgi,
        attribute: Some("server"),
        makers: &["dash.Dash", "dash.dash.Dash"],
    },
];

/// Names that applications are usually bound to, the likeliest first.
const OBJECTS: [&str; 5] = ["app", "application", "api", "server", "asgi_app"];

/// How many imports are followed from one file to the next.
const MAX_HOPS: usize = 4;

/// An application that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// The file.
    pub path: String,
    /// The directory that it is imported from.
    pub import_root: String,
    /// The module's name there.
    pub module: String,
    /// The object, or the function that makes it.
    pub object: String,
    /// Whether it is a function to be called.
    pub is_factory: bool,
    /// The framework.
    pub framework: Framework,
    /// How likely it is what the image is to start, 0 being the likeliest.
    pub(super) rank: (usize, usize, usize),
}

impl App {
    /// `module:object`.
    pub fn target(&self) -> String {
        let attribute = self.framework.attribute.map_or(String::new(), |attribute| format!(".{attribute}"));
        format!("{}:{}{attribute}", self.module, self.object)
    }
}

/// The applications of the project, the likeliest first: objects before factories, by the file's name, by depth.
pub(super) fn find(context: &Context<'_>, modules: &mut Modules<'_>) -> Result<Vec<App>, CommandError> {
    let mut apps: Vec<App> = Vec::new();
    for path in modules.candidates() {
        // Parsing is what costs; a file without any of these words makes no application.
        let Some(text) = modules.text(&path)? else { continue };
        let name = path.rsplit('/').next().unwrap_or_default();
        let likely = LIKELY.iter().position(|likely| *likely == name);
        let mentions = FRAMEWORKS
            .iter()
            .flat_map(|framework| framework.makers)
            .any(|maker| text.contains(maker.split('.').next().unwrap_or_default()));
        if !mentions && (likely.is_none() || !text.contains("app")) {
            continue;
        }
        let Some(parsed) = modules.parse(&path)? else { continue };
        let Some((object, framework, is_factory)) = application(modules, &path, &parsed.module, 0)? else {
            if likely.is_some() && mentions {
                modules.looked(&path, "uses a web framework, but makes no application at its top level");
            }
            continue;
        };
        let (import_root, module) = modules.place(&path, &parsed.module);
        let what = if is_factory { "makes" } else { "is" };
        modules.looked(&path, format!("`{object}` {what} a {} application", framework.name));
        // A package named like the project goes before others of the same depth.
        let own = context.project.name.as_ref().is_some_and(|name| module.split('.').next() == Some(&name.escaped()));
        let depth = path.matches('/').count() * 2 + usize::from(!own && path.contains('/'));
        let rank = (usize::from(is_factory), likely.unwrap_or(LIKELY.len()), depth);
        apps.push(App { path, import_root, module, object, is_factory, framework, rank });
    }
    apps.sort_by_key(|app| app.rank);
    // `pkg/__init__.py` that re-exports the application of `pkg/main.py` is no second one.
    Ok(apps)
}

/// The application that a module makes: its name, its framework, and whether it is a function to be called.
fn application(
    modules: &mut Modules<'_>,
    path: &str,
    module: &Module,
    hops: usize,
) -> Result<Option<(String, Framework, bool)>, CommandError> {
    let mut objects: Vec<(&str, Framework)> = Vec::new();
    for binding in &module.bindings {
        let Expr::Call(call) = &binding.value else { continue };
        if let Some(framework) = made_by(modules, path, module, &call.callee, hops)?
            && !objects.iter().any(|(name, _)| *name == binding.name)
        {
            objects.push((&binding.name, framework));
        }
    }
    objects.sort_by_key(|(name, _)| OBJECTS.iter().position(|usual| usual == name).unwrap_or(OBJECTS.len()));
    if let Some((name, framework)) = objects.first() {
        return Ok(Some(((*name).to_owned(), *framework, false)));
    }
    for function in &module.functions {
        let is_maker = ["create", "make", "build", "get", "init"].iter().any(|verb| function.name.starts_with(verb));
        let is_named =
            is_maker && ["app", "application", "api", "server"].iter().any(|noun| function.name.ends_with(noun));
        if !(is_named || function.name == "factory") || function.required_parameters > 0 {
            continue;
        }
        let of_annotation = function.returns.as_deref().and_then(maker);
        if let Some(framework) = of_annotation.or(factory(modules, path, module, &function.name, hops)?) {
            return Ok(Some((function.name.clone(), framework, true)));
        }
    }
    Ok(None)
}

/// The framework whose application a call of `callee` gives.
fn made_by(
    modules: &mut Modules<'_>,
    path: &str,
    module: &Module,
    callee: &str,
    hops: usize,
) -> Result<Option<Framework>, CommandError> {
    if let Some(framework) = maker(callee) {
        return Ok(Some(framework));
    }
    // `config.make_wsgi_app()` of a Configurator that the module makes.
    if let Some((object, "make_wsgi_app")) = callee.rsplit_once('.')
        && matches!(module.binding(object).map(|binding| &binding.value), Some(Expr::Call(call)) if call.callee == "pyramid.config.Configurator")
    {
        return Ok(maker("pyramid.config.Configurator.make_wsgi_app"));
    }
    if hops > MAX_HOPS {
        return Ok(None);
    }
    if let Some(bases) = module.classes.get(callee) {
        for base in bases {
            if let Some(framework) = made_by(modules, path, module, base, hops + 1)? {
                return Ok(Some(framework));
            }
        }
        return Ok(None);
    }
    if module.function(callee).is_some() {
        return factory(modules, path, module, callee, hops);
    }
    // Imported from another file of the project.
    let Some((from, name)) = callee.rsplit_once('.').filter(|(from, _)| !from.is_empty() || callee.starts_with('.'))
    else {
        return Ok(None);
    };
    let from = if from.is_empty() { "." } else { from };
    let Some(file) = modules.resolve(path, from).filter(|file| file != path) else { return Ok(None) };
    let Some(parsed) = modules.parse(&file)? else { return Ok(None) };
    let origin = parsed.module.imports.get(name).cloned();
    match origin {
        Some(origin) if parsed.module.function(name).is_none() => {
            made_by(modules, &file, &parsed.module, &origin, hops + 1)
        }
        _ => made_by(modules, &file, &parsed.module, name, hops + 1),
    }
}

/// The framework whose application the function `name` of the module makes: what it says that it returns, or the first
/// application that it makes.
fn factory(
    modules: &mut Modules<'_>,
    path: &str,
    module: &Module,
    name: &str,
    hops: usize,
) -> Result<Option<Framework>, CommandError> {
    let Some(function) = module.function(name) else { return Ok(None) };
    if let Some(framework) = function.returns.as_deref().and_then(maker) {
        return Ok(Some(framework));
    }
    if hops > MAX_HOPS {
        return Ok(None);
    }
    for callee in function.calls.iter().filter(|callee| *callee != name) {
        if let Some(framework) = made_by(modules, path, module, callee, hops + 1)? {
            return Ok(Some(framework));
        }
    }
    Ok(None)
}

fn maker(callee: &str) -> Option<Framework> {
    FRAMEWORKS.iter().find(|framework| framework.makers.contains(&callee)).copied()
}

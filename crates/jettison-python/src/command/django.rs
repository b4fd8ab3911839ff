//! Django: `manage.py`, the settings that it names, and the application beside them.

use super::app::Interface;
use super::modules::Modules;
use super::server::server;
use super::{CommandError, Context, Detected, Found, Kind};
use crate::syntax::{Expr, Module};

/// What makes Django's applications.
const MAKERS: [(&str, Interface); 2] = [
    ("django.core.asgi.get_asgi_application", Interface::Asgi),
    ("django.core.wsgi.get_wsgi_application", Interface::Wsgi),
];

pub(super) fn find(context: &Context<'_>, modules: &mut Modules<'_>) -> Result<Option<Found>, CommandError> {
    let mut applications = Vec::new();
    let mut manage: Option<(String, Option<String>)> = None;
    for path in modules.candidates() {
        let name = path.rsplit('/').next().unwrap_or_default();
        let Some(text) = modules.text(&path)?.filter(|text| text.contains("django")) else { continue };
        if name == "manage.py" && manage.is_none() {
            let Some(parsed) = modules.parse(&path)? else { continue };
            let settings = settings(&parsed.module);
            let verdict = settings.as_ref().map_or("Django's, without a settings module".to_owned(), |s| {
                format!("Django's, with the settings {s}")
            });
            modules.looked(&path, verdict);
            manage = Some((path, settings));
        } else if MAKERS.iter().any(|(maker, _)| text.contains(maker.rsplit('.').next().unwrap_or_default())) {
            let Some(parsed) = modules.parse(&path)? else { continue };
            let made = parsed.module.bindings.iter().find_map(|binding| match &binding.value {
                Expr::Call(call) => MAKERS
                    .iter()
                    .find(|(maker, _)| *maker == call.callee)
                    .map(|(_, interface)| (binding.name.clone(), *interface)),
                _ => None,
            });
            // Channels: `application = ProtocolTypeRouter({...})`.
            let routed = || {
                let application = parsed.module.binding("application")?;
                let calls = parsed.module.calls.iter();
                let interface =
                    calls.into_iter().find_map(|call| MAKERS.iter().find(|(maker, _)| *maker == call.callee))?.1;
                Some((application.name.clone(), interface))
            };
            if let Some((object, interface)) = made.or_else(routed) {
                let which = if interface == Interface::Asgi { "ASGI" } else { "WSGI" };
                modules.looked(&path, format!("`{object}` is Django's {which} application"));
                applications.push((path, object, interface));
            }
        }
    }
    if manage.is_none() && (applications.is_empty() || !context.has("django")) {
        return Ok(None);
    }
    // manage.py stands where modules are imported from.
    let root = manage.as_ref().map(|(path, _)| path.rsplit_once('/').map_or("", |(directory, _)| directory).to_owned());
    let of = |interface: Interface| applications.iter().find(move |(_, _, other)| *other == interface);
    // WSGI is what Django's own deployment page begins with; ASGI where only a server for it is there.
    for interface in [Interface::Wsgi, Interface::Asgi] {
        let Some((path, object, _)) = of(interface) else { continue };
        let (found_root, module) = match &root {
            Some(root) => {
                let below = if root.is_empty() { Some(path.as_str()) } else { path.strip_prefix(&format!("{root}/")) };
                let Some(below) = below else { continue };
                (root.clone(), below.trim_end_matches(".py").replace('/', "."))
            }
            None => match modules.parse(path)? {
                Some(parsed) => modules.place(path, &parsed.module),
                None => continue,
            },
        };
        let Some(argv) = server(context, interface, &format!("{module}:{object}"), false) else { continue };
        modules.check(path)?;
        let kind = if interface == Interface::Asgi { Kind::Asgi } else { Kind::Wsgi };
        return Ok(Some(Found::Command(Box::new(Detected {
            reason: format!("`{object}` in {path} is Django's application, and {} is among the dependencies", argv[0]),
            argv,
            env: Vec::new(),
            port: Some(context.port),
            kind,
            module: Some(module),
            import_root: found_root,
            warnings: Vec::new(),
            looked_at: Vec::new(),
        }))));
    }
    let Some((path, settings)) = manage else {
        return Ok(Some(Found::unclear(
            "there is a Django application, but no server for it is among the dependencies",
            "add gunicorn or uvicorn to the dependencies",
        )));
    };
    modules.check(&path)?;
    let address = format!("0.0.0.0:{}", context.port);
    let argv = ["python", &path, "runserver", "--noreload", &address].map(str::to_owned).to_vec();
    Ok(Some(Found::Command(Box::new(Detected {
        argv,
        env: Vec::new(),
        port: Some(context.port),
        kind: Kind::Development,
        module: settings,
        import_root: root.unwrap_or_default(),
        reason: format!("{path} is Django's, and no server is among the dependencies"),
        warnings: vec![
            "Django's development server is used: it is not meant for production; add gunicorn to the dependencies"
                .to_owned(),
        ],
        looked_at: Vec::new(),
    }))))
}

/// The argument of `os.environ.setdefault("DJANGO_SETTINGS_MODULE", …)`.
fn settings(module: &Module) -> Option<String> {
    let calls = module.calls.iter().filter(|call| call.callee == "os.environ.setdefault");
    let pairs = calls.filter_map(|call| match &call.arguments[..] {
        [key, value] => Some((key.as_str()?, value.as_str()?)),
        _ => None,
    });
    pairs.into_iter().find(|(key, _)| *key == "DJANGO_SETTINGS_MODULE").map(|(_, value)| value.to_owned())
}

//! Installs a wheel below a directory, as an image would hold it:
//!
//! ```text
//! cargo run -p jettison-python --example install_wheel -- safe numpy-2.3.0-…whl out /usr/bin/python3.13
//! ```

use std::error::Error;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use jettison_python::wheel::trim::Trim;
use jettison_python::wheel::{InstallLayout, InstallOptions, Unchanged, Wheel, WheelFilename};
use jettison_tree::{Fragment, FragmentWriter};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [level, wheel, out, python] = arguments.as_slice() else {
        return Err("usage: install_wheel none|safe|max WHEEL DIRECTORY PYTHON".into());
    };
    let trim = match level.as_str() {
        "none" => Trim::None,
        "safe" => Trim::Safe,
        "max" => Trim::Max,
        _ => return Err("the level is none, safe or max".into()),
    };
    let path = Path::new(wheel);
    let name = path.file_name().and_then(|name| name.to_str()).ok_or("the wheel has no name")?;
    let mut wheel = Wheel::open(File::open(path)?, &WheelFilename::parse(name)?)?;

    fs::create_dir_all(out)?;
    let fragment = Path::new(out).join(".fragment");
    let mut writer = FragmentWriter::new(File::create(&fragment)?);
    let layout = InstallLayout::posix_prefix("usr", (3, 13), python)?;
    let options = InstallOptions { trim, requested: true, direct_url: None };
    let installed = wheel.install(&layout, &options, &mut Unchanged, &mut writer)?;
    writer.finish(serde_json::Value::Null)?;

    for entry in Fragment::open(&fragment)?.entries() {
        let Some(content) = entry.content() else { continue };
        let path = Path::new(out).join(entry.path.as_path());
        fs::create_dir_all(path.parent().unwrap_or(Path::new(out)))?;
        std::io::copy(&mut content.reader(), &mut File::create(&path)?)?;
        fs::set_permissions(&path, Permissions::from_mode(entry.mode))?;
    }
    fs::remove_file(fragment)?;
    println!("{}", serde_json::to_string_pretty(&installed)?);
    Ok(())
}

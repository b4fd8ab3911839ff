//! `run`: the image as it says itself, and otherwise.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;

use jettison_oci::image::ImageOrIndex;
use jettison_oci::types::{ContainerConfig, Platform};
use jettison_testkit::archive::TarMember;
use rustix::process::{Pid, Signal, kill_process};

use crate::fixture::{User, base, image, printing, printing_for, shell};

/// Where [`answers`] listens, when it is a program in the sandbox.
const PORT: &str = "JETTISON_TEST_PORT";

fn shell_image(user: &User, config: ContainerConfig) {
    user.import(&ImageOrIndex::Image(image(&[&base()], config)), "shell");
}

#[test]
fn an_image_runs_for_root_and_for_others() {
    for user in User::all() {
        user.import(&printing("hello\n"), "hello");
        for _ in 0..2 {
            assert_eq!(user.run(&["run", "--rm", "hello"]).ok(), "hello\n");
        }
        assert_eq!(
            user.run(&["run", "--network", "none", "-u", "65532:65532", "-w", "/made/for/it", "hello"]).ok(),
            "hello\n"
        );
    }
}

#[test]
fn the_config_of_the_image_is_followed() {
    for user in User::all() {
        shell_image(
            &user,
            ContainerConfig {
                user: "app".into(),
                working_dir: "/srv/app".into(),
                env: vec!["PATH=/usr/bin:/bin".into(), "GREETING=from the image".into(), "OTHER=1".into()],
                cmd: Some(vec!["/bin/sh".into()]),
                ..ContainerConfig::default()
            },
        );
        let script = "id -u; id -g; pwd; echo $HOME; echo $GREETING; echo $OTHER$MINE";
        let said = user.run(&shell(&["-e", "OTHER=2", "-e", "MINE=3", "-e", "UNSET"], "shell", script)).ok();
        assert_eq!(said, "1000\n1001\n/srv/app\n/home/app\nfrom the image\n23\n");
        let said = user.run(&shell(&["-u", "7:8", "-w", "/tmp"], "shell", "id -u; id -g; pwd; echo $HOME")).ok();
        assert_eq!(said, "7\n8\n/tmp\n/\n");
        let (code, said) = user.run(&shell(&["-u", "nobody"], "shell", "id")).failed();
        assert_eq!(code, 2);
        assert!(said.contains("the image has no user `nobody` in /etc/passwd"), "{said}");
    }
}

#[test]
fn the_exit_code_is_the_programs() {
    let user = User::new();
    shell_image(&user, ContainerConfig::default());
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -TERM $$", 143)] {
        assert_eq!(user.run(&shell(&[], "shell", script)).code, code, "{script}");
    }
    let (code, said) = user.run(&["run", "shell", "/no/such/program"]).failed();
    assert_eq!(code, 2);
    assert!(said.contains("cannot run `/no/such/program` in the sandbox") && said.contains("hint: "), "{said}");
    let (_, said) = user.run(&["run", "shell"]).failed();
    assert!(said.contains("the image does not say what to run"), "{said}");
}

#[test]
fn what_it_writes_is_gone_but_in_volumes() {
    for user in User::all() {
        shell_image(&user, ContainerConfig::default());
        let volume = user.path("data");
        fs::create_dir(&volume).unwrap();
        fs::set_permissions(&volume, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        let script =
            "test ! -e /tmp/x && touch /tmp/x && test ! -e /etc/passwd.new && echo data > /data/file; cat /data/file";
        for _ in 0..2 {
            assert_eq!(user.run(&shell(&["-v", "./data:/data"], "shell", script)).ok(), "data\n");
        }
        let refused = user.run(&shell(&["-v", "./data:/data:ro"], "shell", "touch /data/other"));
        assert_ne!(refused.code, 0);
        assert_eq!(fs::read_dir(&volume).unwrap().count(), 1);
        let (code, said) = user.run(&shell(&["-v", "./none:/data"], "shell", "true")).failed();
        assert_eq!(code, 2);
        assert!(said.contains("cannot mount `./none`"), "{said}");
    }
}

#[test]
fn variables_come_from_files_and_from_here() {
    let user = User::new();
    shell_image(&user, ContainerConfig::default());
    fs::write(user.path("env"), "# comment\nA=1 2\n\nHERE\nNOT_HERE\n  B='q'\n").unwrap();
    let script = "echo \"$A|$B|$HERE|${NOT_HERE-unset}\"";
    let output = user.command(&shell(&["--env-file", "env"], "shell", script)).env("HERE", "here").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1 2|'q'|here|unset\n");
    fs::write(user.path("env"), "A=1\nB 2=3\n").unwrap();
    let (_, said) = user.run(&shell(&["--env-file", "env"], "shell", script)).failed();
    assert!(said.contains("env:2: expected NAME=VALUE"), "{said}");
}

#[test]
fn layers_cover_each_other_as_they_do_elsewhere() {
    let file = |name: &str| TarMember::file(name, name);
    let lower = [
        TarMember::directory("a"),
        file("a/x"),
        file("a/y"),
        TarMember::directory("b"),
        file("b/x"),
        TarMember::directory("d").mode(0o700),
        file("d/x"),
        file("f"),
        TarMember::directory("g"),
        file("g/x"),
    ];
    let upper = [
        TarMember::directory("a"),
        file("a/.wh.x"),
        TarMember::directory("b"),
        file("b/.wh..wh..opq"),
        file("b/z"),
        file(".wh.f"),
        // Taken away and made anew: nothing of the old one shows.
        file(".wh.g"),
        TarMember::directory("g"),
        file("g/z"),
    ];
    // Neither of these makes sense without what is below it.
    let beyond = [TarMember::hard_link("h", "a/y"), file("d/z")];
    let list = "cd /; ls -d a/* b/* d/* f g/* h 2>/dev/null; stat -c %a d";
    for user in User::all() {
        // As the lowest it hides nothing, which must not be what covers others later.
        user.import(&ImageOrIndex::Image(image(&[&upper, &base()], ContainerConfig::default())), "lowest");
        assert_eq!(user.run(&shell(&[], "lowest", "ls a")).code, 0);
        let two = image(&[&base(), &lower, &upper], ContainerConfig::default());
        user.import(&ImageOrIndex::Image(two), "two");
        assert_eq!(user.run(&shell(&[], "two", list)).ok(), "a/y\nb/z\nd/x\ng/z\n700\n");
        let three = image(&[&base(), &lower, &upper, &beyond], ContainerConfig::default());
        user.import(&ImageOrIndex::Image(three), "three");
        assert_eq!(user.run(&shell(&[], "three", list)).ok(), "a/y\nb/z\nd/x\nd/z\ng/z\nh\n700\n");
    }
}

#[test]
fn an_image_for_another_machine_is_refused() {
    let user = User::new();
    let other = if cfg!(target_arch = "x86_64") { "arm64" } else { "amd64" };
    user.import(&ImageOrIndex::Image(printing_for(&Platform::linux(other), "x")), "other");
    let (code, said) = user.run(&["run", "other"]).failed();
    assert_eq!(code, 2);
    assert!(said.contains(&format!("error: the image is for linux/{other}; this machine is linux/")), "{said}");
    assert!(said.contains("hint: build or pull it for this machine"), "{said}");
}

#[test]
fn signals_are_passed_on() {
    for (stop_signal, sent, trapped) in
        [(None, Signal::TERM, "TERM"), (None, Signal::HUP, "HUP"), (Some("SIGUSR1"), Signal::TERM, "USR1")]
    {
        let user = User::new();
        let stop_signal = stop_signal.map(str::to_owned);
        shell_image(&user, ContainerConfig { stop_signal, ..ContainerConfig::default() });
        let script = format!("trap 'echo got {trapped}; exit 3' {trapped}; echo ready; sleep 1000 & wait");
        let mut child = user.command(&shell(&[], "shell", &script)).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
        kill_process(Pid::from_child(&child), sent).unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), format!("got {trapped}"));
        assert_eq!(child.wait().unwrap().code(), Some(3));
    }
}

#[test]
fn who_insists_on_the_end_gets_it() {
    let user = User::new();
    shell_image(&user, ContainerConfig::default());
    let script = "trap 'echo no' INT; echo ready; while :; do sleep 1000 & wait; done";
    let mut child = user.command(&shell(&[], "shell", script)).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    for _ in 0..2 {
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), "no");
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(137));
}

#[test]
fn input_and_terminals_are_given_where_they_are_wanted() {
    let user = User::new();
    shell_image(&user, ContainerConfig::default());
    let with_input = |flags: &[&str], script: &str, input: &str| {
        let mut command = user.command(&shell(flags, "shell", script));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // Nobody may be there to read it.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    };
    assert_eq!(with_input(&[], "cat", "lost"), "");
    assert_eq!(with_input(&["-i"], "cat", "kept"), "kept");
    assert_eq!(with_input(&["-t"], "test -t 0 && test -t 1 && echo $TERM", ""), "xterm\r\n");
    assert_eq!(
        with_input(&["-ti"], "stty -echo; echo ready; read line; echo got $line", "word\n")
            .matches("got word\r\n")
            .count(),
        1
    );
}

#[test]
fn ports_lead_into_a_sandbox_without_a_network() {
    for user in User::all() {
        shell_image(&user, ContainerConfig::default());
        // This test program, as a server in the sandbox.
        let program = user.path("program");
        fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        let volume = format!("{}:/program:ro", program.display());
        let flags = ["--network", "none", "-p", ":8000", "-v", &volume, "-e", "JETTISON_TEST_PORT=8000"];
        let script = "exec /program --exact --nocapture --include-ignored running::answers";
        let mut command = user.command(&shell(&flags, "shell", script));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut notes = BufReader::new(child.stderr.take().unwrap()).lines();
        let note = notes.next().unwrap().unwrap();
        let address = note.strip_prefix("http://").and_then(|rest| rest.strip_suffix(" is port 8000 of the program"));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.by_ref().any(|line| line.unwrap().ends_with("listening")));
        let mut stream = TcpStream::connect(address.unwrap()).unwrap();
        stream.write_all(b"ping").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "ping back");
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
    let user = User::new();
    user.import(&printing(""), "hello");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("{}:8000", taken.local_addr().unwrap().port());
    let (code, said) = user.run(&["run", "--network", "none", "-p", &port, "hello"]).failed();
    assert_eq!(code, 2);
    assert!(
        said.contains("cannot listen on 127.0.0.1:") && said.contains("hint: something else listens there"),
        "{said}"
    );
}

/// No test, but the program of one: answers one connection.
#[test]
fn answers() {
    let Some(port) = std::env::var(PORT).ok().and_then(|port| port.parse::<u16>().ok()) else { return };
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    println!("listening");
    let (mut stream, _) = listener.accept().unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    stream.write_all(format!("{text} back").as_bytes()).unwrap();
}

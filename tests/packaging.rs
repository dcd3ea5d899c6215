//! Files for containers, Kubernetes, systemd and Debian: what they name exists, and Highwater accepts the
//! configurations and command lines in them. docker/try.sh builds and runs what needs a container engine.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "packaging/kubernetes.rs"]
mod kubernetes;
#[path = "packaging/yaml.rs"]
mod yaml;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use highwater::config::{Config, Flags, OVERRIDES};
use serde_json::Value;
use yaml::{items, pairs, text};

/// Where the image looks for its configuration.
const IN_IMAGE: &str = "/etc/highwater/highwater.toml";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Runs the binary with no variable of Highwater.
fn highwater(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_highwater"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HIGHWATER_")) {
        command.env_remove(name);
    }
    command.args(arguments).output().unwrap()
}

/// A folder that is gone with the value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("highwater-packaging-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What a configuration resolves to where `secrets` are the files below `mounted`, and `variables` is the
/// environment. Anything else that it asks for is not there.
fn resolve(
    place: &str,
    config: &str,
    mounted: &str,
    secrets: &BTreeSet<String>,
    variables: &[(String, String)],
) -> Config {
    let folder = Folder::new(&place.replace('/', "-"));
    for name in secrets {
        std::fs::write(folder.0.join(name), "secret\n").unwrap();
    }
    let here = format!("{}/", folder.0.display());
    let file = folder.0.join("config.toml");
    std::fs::write(&file, config.replace(mounted, &here)).unwrap();
    let environment = |name: &str| {
        let found = variables.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone())
    };
    let config = Config::load(Some(&file), &Flags::default(), &environment);
    config.unwrap_or_else(|error| panic!("{place}: {error}"))
}

/// Whether `highwater` takes these arguments: what is wrong must be the file, which is not there.
fn assert_arguments(place: &str, arguments: &[&str]) {
    let output = highwater(arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.contains("cannot read the file") && output.status.code() != Some(2),
        "{place}: {arguments:?}: {error}"
    );
}

/// The environment of a compose service; a `${NAME:-value}` is its value.
fn environment(service: &Value) -> Vec<(String, String)> {
    let filled = |value: &str| match value.strip_prefix("${") {
        Some(inner) => inner
            .trim_end_matches('}')
            .split_once(":-")
            .unwrap()
            .1
            .to_owned(),
        None => value.to_owned(),
    };
    let pair = |(name, value): (&str, &Value)| (name.to_owned(), filled(text(value)));
    pairs(&service["environment"]).map(pair).collect()
}

/// `./host:container:ro` of a compose service.
fn mounts(service: &Value) -> Vec<(String, String)> {
    let pair = |mount: &Value| {
        let mut parts = text(mount).split(':').map(str::to_owned);
        (parts.next().unwrap(), parts.next().unwrap())
    };
    items(&service["volumes"]).iter().map(pair).collect()
}

#[test]
fn compose_files_name_what_exists() {
    // What docker-compose 1.29 and 2 both know.
    let known = [
        "image",
        "build",
        "hostname",
        "command",
        "entrypoint",
        "environment",
        "volumes",
        "ports",
        "restart",
        "stop_grace_period",
        "network_mode",
    ];
    for name in ["compose.yml", "compose.sidecar.yml"] {
        let file = &yaml::read(&root().join("docker").join(name))[0];
        assert_eq!(
            pairs(file).map(|it| it.0).collect::<Vec<_>>(),
            ["services"],
            "{name}"
        );
        let mut ours = 0;
        for (service, value) in pairs(&file["services"]) {
            let place = format!("{name}/{service}");
            for (key, _) in pairs(value) {
                assert!(known.contains(&key), "{place}: {key}");
            }
            for (host, _) in mounts(value) {
                let there = root().join("docker").join(&host).exists();
                assert!(host.starts_with("./") && there, "{place}: no {host}");
            }
            if value["image"] == "highwater" {
                ours += 1;
                assert_our_service(&place, value);
            }
        }
        assert_eq!(ours, 1, "{name}");
    }
}

fn assert_our_service(place: &str, service: &Value) {
    let variables = environment(service);
    let mounts = mounts(service);
    let (file, _) = mounts.iter().find(|it| it.1 == IN_IMAGE).unwrap();
    let config = read(&format!("docker/{file}"));
    for (name, _) in &variables {
        let overrides = OVERRIDES.iter().any(|it| it.variable == Some(name));
        let password = config.contains(&format!("password_env = \"{name}\""));
        assert!(overrides || password, "{place}: nobody reads {name}");
    }
    let secrets = mounts
        .iter()
        .filter_map(|it| it.1.strip_prefix("/run/secrets/"));
    let secrets = secrets.map(str::to_owned).collect();
    let config = resolve(place, &config, "/run/secrets/", &secrets, &variables);
    let listens = [config.proxy.listen, config.admin.listen, config.http.listen];
    for port in items(&service["ports"]) {
        let inside: u16 = text(port).rsplit(':').next().unwrap().parse().unwrap();
        let listens = listens.iter().find(|it| it.port() == inside);
        let listens = listens.unwrap_or_else(|| panic!("{place}: nothing listens on {inside}"));
        assert!(
            listens.ip().is_unspecified(),
            "{place}: {inside} is not reachable"
        );
    }
}

/// Prometheus scrapes, and Grafana asks, a service by its name and port.
#[test]
fn what_watches_finds_what_it_watches() {
    let services = &yaml::read(&root().join("docker/compose.yml"))[0]["services"];
    let config: toml::Table = read("docker/highwater.toml").parse().unwrap();
    let http = config["http"]["listen"].as_str().unwrap();
    let scraped = &yaml::read(&root().join("docker/prometheus/prometheus.yml"))[0];
    let target = text(&scraped["scrape_configs"][0]["static_configs"][0]["targets"][0]);
    let (service, port) = target.split_once(':').unwrap();
    assert_eq!(services[service]["image"], "highwater");
    assert!(http.ends_with(&format!(":{port}")), "{target} {http}");
    for file in items(&scraped["rule_files"]) {
        assert!(root().join("docker/prometheus").join(text(file)).exists());
    }
    let provisioning = root().join("docker/grafana/provisioning");
    let sources = &yaml::read(&provisioning.join("datasources/prometheus.yml"))[0];
    let url = text(&sources["datasources"][0]["url"]);
    let (service, port) = url
        .strip_prefix("http://")
        .unwrap()
        .split_once(':')
        .unwrap();
    let published = text(&services[service]["ports"][0]);
    assert!(
        published.ends_with(&format!(":{port}")),
        "{url} {published}"
    );
    let provider = &yaml::read(&provisioning.join("dashboards/highwater.yml"))[0];
    let folder = text(&provider["providers"][0]["options"]["path"]);
    let mounts = mounts(&services["grafana"]);
    assert!(mounts.iter().any(|it| it.1 == folder), "{folder}");
    let home = environment(&services["grafana"]);
    let home = home
        .iter()
        .find(|it| it.0 == "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH")
        .unwrap();
    let file = home.1.strip_prefix(folder).unwrap();
    assert!(
        root()
            .join(format!("docker/grafana/dashboards{file}"))
            .exists()
    );
}

/// The JSON arrays of a Dockerfile's instruction.
fn instruction(dockerfile: &str, name: &str) -> Vec<String> {
    let text = dockerfile.replace("\\\n", " ");
    let line = text.lines().rfind(|line| line.starts_with(name)).unwrap();
    serde_json::from_str(&line[line.find('[').unwrap()..]).unwrap()
}

#[test]
fn the_image_runs_what_there_is() {
    let dockerfile = read("docker/Dockerfile");
    let program = &instruction(&dockerfile, "ENTRYPOINT")[0];
    assert!(
        dockerfile.contains(&format!(" /image{program}\n")),
        "{program} is not installed"
    );
    let health = instruction(&dockerfile, "HEALTHCHECK");
    assert_eq!(health[0], *program);
    for arguments in [&health[1..], &instruction(&dockerfile, "CMD")] {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        assert_eq!(arguments.last(), Some(&IN_IMAGE));
        assert_arguments("Dockerfile", &arguments);
    }
    let user = dockerfile
        .lines()
        .rfind(|line| line.starts_with("USER "))
        .unwrap();
    let id: u32 = user[5..].split(':').next().unwrap().parse().unwrap();
    assert_ne!(id, 0);
    let toolchain = format!("rust:{}-", env!("CARGO_PKG_RUST_VERSION"));
    assert!(
        dockerfile.contains(&toolchain),
        "the image is built with another Rust than {toolchain}"
    );
}

/// The build sees every folder that it copies. Of Cargo.toml it takes what stands before the first `[[`: targets of
/// tests, whose files it does not see, stand behind.
#[test]
fn the_build_sees_what_it_copies() {
    let ignore = read(".dockerignore");
    let kept: Vec<&str> = ignore
        .lines()
        .filter_map(|line| line.strip_prefix('!'))
        .collect();
    let dockerfile = read("docker/Dockerfile");
    let copies = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("COPY "));
    let mut seen = 0;
    for copy in copies.filter(|line| !line.starts_with("--from")) {
        let mut names: Vec<&str> = copy.split(' ').collect();
        names.pop();
        for name in names {
            assert!(root().join(name).exists(), "{name}");
            assert!(kept.contains(&name), ".dockerignore hides {name}");
            seen += 1;
        }
    }
    assert_eq!(seen, kept.len(), "what is not hidden is copied");
    let manifest = read("Cargo.toml");
    let before: toml::Table = manifest.split("\n[[").next().unwrap().parse().unwrap();
    let whole: toml::Table = manifest.parse().unwrap();
    let without_metadata = |table: &toml::Table, key: &str| {
        let mut value = table[key].as_table().unwrap().clone();
        value.remove("metadata");
        value
    };
    for key in ["package", "dependencies", "dev-dependencies", "profile"] {
        let same = without_metadata(&before, key) == without_metadata(&whole, key);
        assert!(same, "[{key}] stands behind a [[");
    }
}

#[test]
fn kubernetes_takes_the_manifests() {
    for name in ["standalone", "sidecar"] {
        let documents = yaml::read(&root().join(format!("docker/kubernetes/{name}.yaml")));
        let problems: Vec<_> = documents.iter().flat_map(kubernetes::problems).collect();
        assert!(problems.is_empty(), "{name}: {problems:#?}");
        let dangling = kubernetes::dangling(&documents);
        assert!(dangling.is_empty(), "{name}: {dangling:#?}");
        let kinds: Vec<&str> = documents.iter().map(|it| text(&it["kind"])).collect();
        for kind in ["Deployment", "PodDisruptionBudget", "ConfigMap", "Secret"] {
            assert!(kinds.contains(&kind), "{name}: no {kind}");
        }
        let of = |kind: &str| documents.iter().find(|it| it["kind"] == kind).unwrap();
        let secrets = pairs(&of("Secret")["stringData"])
            .map(|it| it.0.to_owned())
            .collect();
        let pod = &of("Deployment")["spec"]["template"]["spec"];
        let container = kubernetes::containers(pod)
            .find(|it| it["name"] == "highwater")
            .unwrap();
        let mount = |volume: &str| {
            let is = |it: &&Value| it["name"].as_str().unwrap().ends_with(volume);
            let mount = items(&container["volumeMounts"]).iter().find(is).unwrap();
            format!("{}/", text(&mount["mountPath"]))
        };
        let args: Vec<&str> = items(&container["args"]).iter().map(text).collect();
        assert_arguments(name, &args);
        let file = args.last().unwrap().strip_prefix(&mount("config")).unwrap();
        let config = text(&of("ConfigMap")["data"][file]);
        let config = resolve(name, config, &mount("secrets"), &secrets, &[]);
        assert_pod(name, pod, container, &config);
    }
}

fn assert_pod(name: &str, pod: &Value, container: &Value, config: &Config) {
    let http = config.http.listen;
    let mut probes = 0;
    for (probe, path) in [
        ("readinessProbe", "/readyz"),
        ("startupProbe", "/readyz"),
        ("livenessProbe", "/healthz"),
    ] {
        let get = &container[probe]["httpGet"];
        if get.is_null() {
            continue;
        }
        probes += 1;
        assert_eq!(get["path"], path, "{name}: {probe}");
        let port = kubernetes::port_of(container, &get["port"]);
        assert_eq!(port, Some(u64::from(http.port())), "{name}: {probe}");
    }
    assert_eq!(probes, 2, "{name}");
    assert!(
        http.ip().is_unspecified(),
        "{name}: probes come from outside of the pod"
    );
    for port in items(&container["ports"]) {
        let number = port["containerPort"].as_u64().unwrap();
        let listens = [config.proxy.listen, http];
        let listens = listens.iter().find(|it| u64::from(it.port()) == number);
        let open = listens.is_some_and(|it| it.ip().is_unspecified());
        assert!(open, "{name}: nothing listens on {number}");
    }
    let sleep = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        .as_u64()
        .unwrap_or(0);
    let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(
        grace > sleep + config.proxy.drain_timeout.as_secs(),
        "{name}: killed while it drains"
    );
    let user = read("docker/Dockerfile");
    let id = [
        &pod["securityContext"]["runAsUser"],
        &container["securityContext"]["runAsUser"],
    ];
    let id = id.into_iter().find_map(Value::as_u64).unwrap();
    assert!(
        user.contains(&format!("\nUSER {id}:")),
        "{name}: another user than the image's"
    );
}

#[test]
fn the_unit_starts_what_the_package_installs() {
    let unit = read("packaging/highwater.service");
    let value = |key: &str| {
        unit.lines()
            .find_map(|line| line.strip_prefix(key))
            .unwrap()
    };
    let start = value("ExecStart=/usr/bin/highwater ");
    assert_arguments("highwater.service", &start.split(' ').collect::<Vec<_>>());
    let secrets = ["monitor", "app"].map(str::to_owned).into();
    let config = read("packaging/highwater.toml");
    let config = resolve("package", &config, "secrets/", &secrets, &[]);
    let made = read("packaging/postinst");
    assert!(made.contains("/etc/highwater/secrets\n"));
    assert!(made.contains(&format!("--home /nonexistent {}\n", value("User="))));
    let seconds = value("TimeoutStopSec=")
        .trim_end_matches('s')
        .parse()
        .unwrap();
    assert!(
        config.proxy.drain_timeout.as_secs() < seconds,
        "killed while it drains"
    );
    assert!(start.ends_with(IN_IMAGE));
}

/// What the Debian package is made of exists, or is made by packaging/deb.
#[test]
fn the_package_has_its_files() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let deb = &manifest["package"]["metadata"]["deb"];
    let made = read("packaging/deb");
    for asset in deb["assets"].as_array().unwrap() {
        let source = asset[0].as_str().unwrap();
        let file = source.rsplit('/').next().unwrap();
        let there = match source.strip_prefix("target/package/highwater.") {
            _ if source == "target/package/highwater" => made.contains("-o \"$made/highwater\""),
            Some(shell) => made.contains(shell),
            None if source == "target/package/*.1" => made.contains("highwater.1\""),
            None if file.starts_with('*') => root().join(source).parent().unwrap().is_dir(),
            None => root().join(source).exists(),
        };
        assert!(there, "{source}");
    }
    for file in deb["conf-files"].as_array().unwrap() {
        assert_eq!(file.as_str(), Some(IN_IMAGE));
    }
}

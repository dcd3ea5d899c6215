//! What Kubernetes' API takes, as far as our files use it: every field with its type. A field that is not here is
//! a mistake, or belongs here after a look into the API's reference.

use serde_json::Value;

use crate::yaml::{items, pairs, text};

/// `Type: field=type …`. A `!` marks a field that must be there. Types: text, int, bool, texts (a map from text to
/// text), port (a number or a name), quantity (a number or a text), another type of this list; `[type]` is a list.
const FIELDS: &str = "
Secret: apiVersion!=v1 kind!=text metadata!=Metadata type=text stringData=texts
ConfigMap: apiVersion!=v1 kind!=text metadata!=Metadata data=texts
Service: apiVersion!=v1 kind!=text metadata!=Metadata spec!=ServiceSpec
Deployment: apiVersion!=apps/v1 kind!=text metadata!=Metadata spec!=DeploymentSpec
PodDisruptionBudget: apiVersion!=policy/v1 kind!=text metadata!=Metadata spec!=DisruptionSpec
Metadata: name=text labels=texts annotations=texts namespace=text
ServiceSpec: type=text selector!=texts ports!=[ServicePort] sessionAffinity=text
ServicePort: name=text port!=int targetPort=port protocol=text
DisruptionSpec: maxUnavailable=quantity minAvailable=quantity selector!=Selector
DeploymentSpec: replicas=int selector!=Selector strategy=Strategy template!=Template minReadySeconds=int
Selector: matchLabels=texts
Strategy: type=text rollingUpdate=RollingUpdate
RollingUpdate: maxSurge=quantity maxUnavailable=quantity
Template: metadata!=Metadata spec!=PodSpec
PodSpec: automountServiceAccountToken=bool terminationGracePeriodSeconds=int securityContext=PodSecurity initContainers=[Container] containers!=[Container] volumes=[Volume] topologySpreadConstraints=[Spread]
PodSecurity: runAsNonRoot=bool runAsUser=int runAsGroup=int fsGroup=int seccompProfile=Seccomp
Seccomp: type!=text
Spread: maxSkew!=int topologyKey!=text whenUnsatisfiable!=text labelSelector=Selector
Container: name!=text image!=text restartPolicy=text args=[text] command=[text] env=[Env] ports=[ContainerPort] readinessProbe=Probe livenessProbe=Probe startupProbe=Probe lifecycle=Lifecycle resources=Resources securityContext=Security volumeMounts=[Mount]
Env: name!=text value=text
ContainerPort: name=text containerPort!=int protocol=text
Probe: httpGet!=HttpGet periodSeconds=int timeoutSeconds=int failureThreshold=int initialDelaySeconds=int
HttpGet: path=text port!=port
Lifecycle: preStop=Handler
Handler: sleep!=Sleep
Sleep: seconds!=int
Resources: requests=Amounts limits=Amounts
Amounts: cpu=quantity memory=quantity
Security: runAsNonRoot=bool runAsUser=int runAsGroup=int allowPrivilegeEscalation=bool readOnlyRootFilesystem=bool capabilities=Capabilities seccompProfile=Seccomp
Capabilities: drop=[text] add=[text]
Mount: name!=text mountPath!=text readOnly=bool
Volume: name!=text configMap=ConfigMapVolume secret=SecretVolume
ConfigMapVolume: name!=text defaultMode=int
SecretVolume: secretName!=text defaultMode=int
";

/// Everything about a document that the API would refuse.
pub(crate) fn problems(document: &Value) -> Vec<String> {
    let kind = text(&document["kind"]);
    let mut problems = Vec::new();
    check(kind, kind, document, &mut problems);
    problems
}

fn fields(kind: &str) -> Option<impl Iterator<Item = (&str, bool, &str)>> {
    let line = FIELDS
        .lines()
        .find_map(|line| line.strip_prefix(kind)?.strip_prefix(": "))?;
    Some(line.split(' ').map(|field| {
        let (name, kind) = field.split_once('=').unwrap();
        (name.trim_end_matches('!'), name.ends_with('!'), kind)
    }))
}

fn check(place: &str, kind: &str, value: &Value, problems: &mut Vec<String>) {
    if let Some(item) = kind.strip_prefix('[') {
        let item = item.trim_end_matches(']');
        match value.as_array() {
            None => problems.push(format!("{place}: not a list")),
            Some(values) => {
                for (number, value) in values.iter().enumerate() {
                    check(&format!("{place}[{number}]"), item, value, problems);
                }
            }
        }
        return;
    }
    let right = match kind {
        "text" => value.is_string(),
        "int" => value.is_i64(),
        "bool" => value.is_boolean(),
        "port" | "quantity" => value.is_string() || value.is_i64(),
        "texts" => value.is_object() && pairs(value).all(|(_, value)| value.is_string()),
        version if version.starts_with(|it: char| it.is_lowercase()) => value == version,
        _ => return check_object(place, kind, value, problems),
    };
    if !right {
        problems.push(format!("{place}: {value} is no {kind}"));
    }
}

fn check_object(place: &str, kind: &str, value: &Value, problems: &mut Vec<String>) {
    let Some(known) = fields(kind) else {
        return problems.push(format!("{place}: {kind} is not known here"));
    };
    let known: Vec<_> = known.collect();
    if !value.is_object() {
        problems.push(format!("{place}: not a map"));
    }
    for (name, value) in pairs(value) {
        match known.iter().find(|(known, ..)| *known == name) {
            Some((_, _, kind)) => check(&format!("{place}.{name}"), kind, value, problems),
            None => problems.push(format!("{place}.{name}: {kind} has no such field")),
        }
    }
    for (name, required, _) in &known {
        if *required && value.get(name).is_none() {
            problems.push(format!("{place}: {name} is missing"));
        }
    }
}

/// Every name in a Deployment that must lead somewhere, and does not.
pub(crate) fn dangling(documents: &[Value]) -> Vec<String> {
    let mut problems = Vec::new();
    let named = |kind: &str, name: &Value| {
        let same = |it: &&Value| it["kind"] == kind && it["metadata"]["name"] == *name;
        documents.iter().any(|it| same(&it))
    };
    for deployment in documents.iter().filter(|it| it["kind"] == "Deployment") {
        let template = &deployment["spec"]["template"];
        let labels = &template["metadata"]["labels"];
        let mut selectors = vec![&deployment["spec"]["selector"]["matchLabels"]];
        for other in documents {
            match text(&other["kind"]) {
                "Service" => selectors.push(&other["spec"]["selector"]),
                "PodDisruptionBudget" => selectors.push(&other["spec"]["selector"]["matchLabels"]),
                _ => {}
            }
        }
        let lost = |selector: &&&Value| !pairs(selector).all(|(key, value)| labels[key] == *value);
        let lost = selectors.iter().filter(lost);
        problems.extend(lost.map(|it| format!("{it} selects nothing")));
        let pod = &template["spec"];
        let volumes = items(&pod["volumes"]);
        for volume in volumes {
            let (map, secret) = (
                &volume["configMap"]["name"],
                &volume["secret"]["secretName"],
            );
            if !named("ConfigMap", map) && !named("Secret", secret) {
                problems.push(format!("{volume} leads nowhere"));
            }
        }
        for container in containers(pod) {
            for mount in items(&container["volumeMounts"]) {
                if !volumes.iter().any(|it| it["name"] == mount["name"]) {
                    problems.push(format!("{mount} leads nowhere"));
                }
            }
            for probe in ["readinessProbe", "livenessProbe", "startupProbe"] {
                let port = &container[probe]["httpGet"]["port"];
                if port.is_string() && port_of(container, port).is_none() {
                    problems.push(format!("{probe}: no port {port}"));
                }
            }
        }
        for service in documents.iter().filter(|it| it["kind"] == "Service") {
            for port in items(&service["spec"]["ports"]) {
                let target = &port["targetPort"];
                if !containers(pod).any(|it| port_of(it, target).is_some()) {
                    problems.push(format!("{target}: no port of that name"));
                }
            }
        }
    }
    problems
}

/// All containers of a pod.
pub(crate) fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    items(&pod["initContainers"])
        .iter()
        .chain(items(&pod["containers"]))
}

/// The number of a container's port by its name.
pub(crate) fn port_of(container: &Value, name: &Value) -> Option<u64> {
    let port = items(&container["ports"])
        .iter()
        .find(|it| it["name"] == *name)?;
    port["containerPort"].as_u64()
}

/// The check is one: what is wrong is found.
#[test]
fn mistakes_are_found() {
    let wrong = |json: &str| {
        let document: Value = serde_json::from_str(json).unwrap();
        problems(&document).join("; ")
    };
    assert_eq!(
        wrong(
            r#"{"kind": "Deployment", "apiVersion": "v1", "metadata": {"nmae": "x"}, "spec": {"replicas": "2",
            "selector": {}, "template": {"metadata": {}, "spec": {"containers": [{"name": "c"}]}}}}"#
        ),
        "Deployment.apiVersion: \"v1\" is no apps/v1; Deployment.metadata.nmae: Metadata has no such field; \
         Deployment.spec.replicas: \"2\" is no int; Deployment.spec.template.spec.containers[0]: image is missing"
    );
    assert_eq!(
        wrong(r#"{"kind": "Deploymnet"}"#),
        "Deploymnet: Deploymnet is not known here"
    );
}

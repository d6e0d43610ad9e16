"""What deploy/ holds, read as those read it whom it is for: Helm renders the chart, and what it renders is held to the schemas
of Kubernetes; hadolint reads the image, and the parts of the compose file have to fit together.

Prints the arguments that Belay is started with, as JSON. Anything wrong is an exception."""

import json
import pathlib
import re
import subprocess
import sys

import helm_python as helm
import kubernetes_validate
import yaml

KUBERNETES = "1.30"
# Of the operator of Prometheus, and no part of Kubernetes.
WITHOUT_SCHEMA = {"ServiceMonitor", "PrometheusRule"}

deploy = pathlib.Path(sys.argv[1])
hadolint = pathlib.Path(sys.argv[2])

LEAST = {
    "database": {"existingSecret": "belay-database"},
    "callers": {"existingSecret": "belay-callers"},
    "behindProxy": True,
}
MOST = {
    "database": {"existingSecret": "belay-database", "caConfigMap": "database-ca"},
    "callers": {
        "existingSecret": "belay-callers",
        "jwt": {"jwks": "https://id.example.org/keys", "issuer": "https://id.example.org", "audience": "belay"},
    },
    "tls": {"existingSecret": "belay-tls", "clientCaKey": "ca.crt"},
    "behindProxy": True,
    "console": {"enabled": True},
    "http": {"enabled": True, "allowedOrigins": ["https://shop.example.com", "http://127.0.0.1:3000"]},
    "autoscaling": {"enabled": True},
    "monitoring": {"enabled": True, "labels": {"release": "prometheus"}},
    "extraArgs": ["--lanes=4"],
    "extraEnv": [{"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://collector:4317"}],
    "networkPolicy": {"callers": [{"namespaceSelector": {"matchLabels": {"team": "shop"}}}]},
    "podAnnotations": {"note": "x"},
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"operator": "Exists"}],
    "service": {"type": "LoadBalancer", "annotations": {"a": "b"}},
}
# With what of an error Helm refuses these.
REFUSED = [
    ({}, "/database/existingSecret"),
    ({**LEAST, "callers": {}}, "Belay serves nobody unknown"),
    ({**LEAST, "behindProxy": False}, "do not travel in clear"),
    ({**MOST, "behindProxy": False}, "console.enabled needs behindProxy"),
    ({**LEAST, "http": {"allowedOrigins": ["https://shop.example.com"]}}, "http.allowedOrigins needs http.enabled"),
    ({**LEAST, "http": {"enabled": True, "allowedOrigins": ["https://shop.example.com/"]}}, "/http/allowedOrigins/0"),
    ({**LEAST, "replicas": 0}, "/replicas"),
    ({**LEAST, "replica": 3}, "replica"),
    ({**LEAST, "extraArgs": ["lanes=4"]}, "/extraArgs/0"),
    ({**LEAST, "callers": {"jwt": {"jwks": "https://id.example.org/keys"}}}, "callers.jwt.issuer"),
]


def rendered(values):
    with helm.Chart.load(str(deploy / "helm/belay")) as chart:
        manifests = chart.render(values, name="shop", namespace="prod")
    for name, text in sorted(manifests.items()):
        if name.endswith(".yaml"):
            yield from filter(None, yaml.safe_load_all(text))


def of_chart(values):
    by_kind = {}
    for manifest in rendered(values):
        kind = manifest["kind"]
        if kind not in WITHOUT_SCHEMA:
            kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
        assert kind not in by_kind, kind
        by_kind[kind] = manifest
    return by_kind


def container(manifest):
    pod = manifest["spec"]["template"]["spec"]
    [container] = pod["containers"]
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}, mounted
    assert pod["securityContext"]["runAsNonRoot"] and container["securityContext"]["readOnlyRootFilesystem"]
    return container["args"]


def ports(charts):
    """The ports that are open, each of which the service leads to and the policy lets callers or scrapers reach."""
    [container] = charts["Deployment"]["spec"]["template"]["spec"]["containers"]
    opened = {port["name"]: port["containerPort"] for port in container["ports"]}
    listened = dict(argument.split("=", 1) for argument in container["args"] if "=" in argument)
    address = {"grpc": "--grpc-address", "admin": "--admin-listen", "http": "--http-address"}
    assert opened == {name: int(listened[flag].split(":")[1]) for name, flag in address.items() if flag in listened}, opened
    led = charts["Service"]["spec"]["ports"]
    assert opened == {port["targetPort"]: port["port"] for port in led}, led
    reached = [port["port"] for rule in charts["NetworkPolicy"]["spec"]["ingress"] for port in rule["ports"]]
    assert sorted(reached) == sorted(opened), reached
    return set(opened)


def chart():
    least, most = of_chart(LEAST), of_chart(MOST)
    always = {"Deployment", "Job", "Service", "ServiceAccount", "PodDisruptionBudget", "NetworkPolicy"}
    assert set(least) == always, set(least)
    assert set(most) == always | {"HorizontalPodAutoscaler", "ServiceMonitor", "PrometheusRule"}, set(most)
    assert least["Deployment"]["spec"]["replicas"] == 2 and "replicas" not in most["Deployment"]["spec"]
    assert "pre-upgrade" in least["Job"]["metadata"]["annotations"]["helm.sh/hook"]
    # What selects the servers selects no job.
    labels = least["Job"]["spec"]["template"]["metadata"]["labels"]
    selector = least["Service"]["spec"]["selector"]
    assert selector == least["Deployment"]["spec"]["selector"]["matchLabels"]
    assert any(labels.get(name) != value for name, value in selector.items())
    shows = ["--console" in charts["Deployment"]["spec"]["template"]["spec"]["containers"][0]["args"] for charts in (least, most)]
    assert shows == [False, True], shows
    assert [ports(charts) for charts in (least, most)] == [{"grpc", "admin"}, {"grpc", "admin", "http"}]
    rules = yaml.safe_load((deploy / "prometheus/alerts.yml").read_text())
    assert most["PrometheusRule"]["spec"] == rules, "the chart's rules are a copy of those beside it"
    for values, error in REFUSED:
        try:
            list(rendered(values))
        except helm.HelmError as refused:
            assert error in str(refused), (values, refused)
        else:
            raise AssertionError(f"taken: {values}")
    return [container(charts[kind]) for charts in (least, most) for kind in ("Deployment", "Job")]


def compose():
    text = (deploy / "compose.yaml").read_text()
    variables = set(re.findall(r"(?<!\$)\$\{(\w+)", text))
    written = set(re.findall(r"^(\w+)=", (deploy / "secrets.sh").read_text(), re.M))
    assert variables <= written, variables - written
    project = yaml.safe_load(text)
    services = project["services"]
    started = []
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            # Belay's image says itself how its health is asked.
            is_asked = "healthcheck" in services[other] or services[other]["image"] == "belay:local"
            assert how["condition"] != "service_healthy" or is_asked, (name, other)
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            is_there = (deploy / source).exists() if source.startswith(".") else source in project["volumes"]
            assert is_there, (name, source)
        for config in service.get("configs", []):
            assert config["source"] in project["configs"], name
        for network in service["networks"]:
            assert network in project["networks"], name
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), (name, port)
        if service["image"] == "belay:local":
            started.append(service["command"])
    targets = yaml.safe_load((deploy / "prometheus/prometheus.yml").read_text())["scrape_configs"][0]
    for target in targets["static_configs"][0]["targets"]:
        assert target.split(":")[0] in services, target
    return started, project["configs"]["callers"]["content"]


def image():
    subprocess.run([hadolint, deploy / "Dockerfile"], check=True)


image()
started, callers = compose()
print(json.dumps({"arguments": started + chart(), "callers": callers}))

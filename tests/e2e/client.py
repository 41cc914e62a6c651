"""client.py -- the usual client library of Python, as programs use it.

  client.py outside        with $KUBECONFIG
  client.py inside         in a pod whose account may read pods, run programs in them, and write
                           ConfigMaps and Events
  client.py files          what it needs of the host, for an image

Each line of `outside` and `inside` is one thing that worked; the first that does not ends it.
"""
import json
import os
import sys
import threading
import time

import encodings.idna  # of names with a scheme; urllib3 asks for it late
import encodings.cp437
import kubernetes
from kubernetes import client, config, dynamic, watch
from kubernetes.client.rest import ApiException
from kubernetes.stream import portforward, stream
from kubernetes.stream.ws_client import RESIZE_CHANNEL
from websocket import ABNF

NS = "default"


def said(what):
    print("ok", what, flush=True)


def equal(is_, wanted):
    if is_ != wanted:
        raise AssertionError(f"{is_!r} is not {wanted!r}")


def refused(code, reason, call, *args, **kw):
    """The API's answer to what it must not do, as the library has it."""
    try:
        call(*args, **kw)
    except ApiException as e:
        equal(e.status, code)
        status = client.ApiClient().deserialize(Answer(e.body), "object")
        equal((status["kind"], status["reason"], status["code"]), ("Status", reason, code))
        return status["message"]
    raise AssertionError(f"{call} was let do it")


class Answer:
    def __init__(self, data):
        self.data = data


def until(what, test):
    for _ in range(600):
        if test():
            return
        time.sleep(0.05)
    raise AssertionError(f"waited in vain: {what}")


def pod(name, command=None):
    return client.V1Pod(
        metadata=client.V1ObjectMeta(name=name, labels={"app": name}),
        spec=client.V1PodSpec(
            termination_grace_period_seconds=1,
            containers=[client.V1Container(name="main", image="box:1", command=command)]))


def running(core, name):
    return core.read_namespaced_pod(name, NS).status.phase == "Running"


def objects(core):
    made = core.create_namespaced_config_map(NS, client.V1ConfigMap(
        metadata=client.V1ObjectMeta(generate_name="py-", labels={"by": "py"}), data={"a": "1"}))
    name = made.metadata.name
    equal((name[:3], len(name), made.data), ("py-", 8, {"a": "1"}))
    equal(made.metadata.creation_timestamp.tzinfo is not None, True)
    equal([c.metadata.name for c in core.list_namespaced_config_map(NS, label_selector="by=py").items], [name])
    refused(409, "AlreadyExists", core.create_namespaced_config_map, NS, {"metadata": {"name": name}})
    refused(404, "NotFound", core.read_namespaced_config_map, "nothing", NS)
    made.data["a"] = "2"
    changed = core.replace_namespaced_config_map(name, NS, made)
    equal(changed.data, {"a": "2"})
    refused(409, "Conflict", core.replace_namespaced_config_map, name, NS, made)
    said("objects are created, read, listed and replaced")
    return name


def patches(core, api, name):
    equal(core.patch_namespaced_config_map(name, NS, {"data": {"b": "strategic"}}).data,
          {"a": "2", "b": "strategic"})
    equal(core.patch_namespaced_config_map(name, NS, [
        {"op": "test", "path": "/data/a", "value": "2"},
        {"op": "replace", "path": "/data/a", "value": "json"}]).data, {"a": "json", "b": "strategic"})
    refused(422, "Invalid", core.patch_namespaced_config_map, name, NS,
            [{"op": "test", "path": "/data/a", "value": "2"}])
    maps = dynamic.DynamicClient(api).resources.get(api_version="v1", kind="ConfigMap")
    changed = maps.patch(body={"data": {"a": None, "c": "merge"}}, name=name, namespace=NS,
                         content_type="application/merge-patch+json")
    equal(changed.to_dict()["data"], {"b": "strategic", "c": "merge"})
    applied = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"d": "applied"}}
    changed = maps.patch(body=json.dumps(applied), name=name, namespace=NS, field_manager="py",
                         content_type="application/apply-patch+yaml")
    equal(changed.to_dict()["data"]["d"], "applied")
    equal("py" in [m.manager for m in core.read_namespaced_config_map(name, NS).metadata.managed_fields], True)
    # lists of containers are merged by name only by the strategic one
    dep = client.AppsV1Api(api)
    dep.create_namespaced_deployment(NS, {
        "metadata": {"name": "py"}, "spec": {
            "replicas": 0, "selector": {"matchLabels": {"app": "py"}},
            "template": {"metadata": {"labels": {"app": "py"}}, "spec": {"containers": [
                {"name": "a", "image": "box:1"}, {"name": "b", "image": "box:1"}]}}}})
    changed = dep.patch_namespaced_deployment("py", NS, {"spec": {"template": {"spec": {"containers": [
        {"name": "b", "image": "box:2"}]}}}})
    equal([(c.name, c.image) for c in changed.spec.template.spec.containers], [("a", "box:1"), ("b", "box:2")])
    equal(changed.metadata.generation, 2)
    equal(dep.patch_namespaced_deployment_scale("py", NS, {"spec": {"replicas": 1}}).spec.replicas, 1)
    dep.delete_namespaced_deployment("py", NS, propagation_policy="Foreground")
    until("the Deployment is gone", lambda: not dep.list_namespaced_deployment(NS).items)
    said("patches of every kind")


def hears(s, text):
    heard = ""
    for _ in range(600):
        heard += s.read_stdout(timeout=100)
        if text in heard:
            return
    raise AssertionError(f"{text!r} is not in {heard!r}")


def is_answered(s, ping):
    s.sock.ping(ping)
    for _ in range(100):
        opcode, frame = s.sock.recv_data_frame(True)
        if opcode == ABNF.OPCODE_PONG:
            equal(frame.data, ping.encode())
            return
    raise AssertionError("no pong")


def watches(core, name):
    seen = []
    w = watch.Watch()
    version = core.list_namespaced_config_map(NS).metadata.resource_version
    later = threading.Timer(0.2, lambda: (
        core.patch_namespaced_config_map(name, NS, {"data": {"b": "seen"}}),
        core.delete_namespaced_config_map(name, NS)))
    later.start()
    for event in w.stream(core.list_namespaced_config_map, NS, resource_version=version, timeout_seconds=60):
        seen.append((event["type"], event["object"].metadata.name, event["object"].data["b"]))
        if event["type"] == "DELETED":
            w.stop()
    equal(seen, [("MODIFIED", name, "seen"), ("DELETED", name, "seen")])
    later.join()
    started = time.monotonic()
    equal(list(watch.Watch().stream(core.list_namespaced_secret, NS, timeout_seconds=1, resource_version=version)), [])
    equal(time.monotonic() - started >= 0.9, True)
    said("watches tell each change once, and end in time")


def streams(core):
    core.create_namespaced_pod(NS, pod("py", ["/bin/sh", "-c", "echo one; echo two; exec talk wait"]))
    for event in watch.Watch().stream(core.list_namespaced_pod, NS, field_selector="metadata.name=py",
                                      timeout_seconds=120):
        if event["object"].status.phase == "Running":
            break
    equal(running(core, "py"), True)
    until("it wrote", lambda: "two" in core.read_namespaced_pod_log("py", NS))
    equal(core.read_namespaced_pod_log("py", NS), "one\ntwo\n")
    equal(core.read_namespaced_pod_log("py", NS, tail_lines=1), "two\n")
    follow = watch.Watch()
    lines = []
    for line in follow.stream(core.read_namespaced_pod_log, "py", NS):
        lines.append(line)
        if line == "two":
            follow.stop()
    equal(lines, ["one", "two"])
    said("logs, also as they come")

    run = core.connect_get_namespaced_pod_exec
    equal(stream(run, "py", NS, command=["echo", "ahoy there"], stdout=True, stderr=True), "ahoy there\n")
    s = stream(run, "py", NS, command=["sh", "-c", "read x; echo got $x; echo bad >&2; exit 7"],
               stdin=True, stdout=True, stderr=True, _preload_content=False)
    s.write_stdin("this\n")
    s.run_forever(timeout=60)
    equal((s.read_stdout(), s.read_stderr(), s.returncode), ("got this\n", "bad\n", 7))
    equal(stream(run, "py", NS, command=["tty", "-s"], stdin=True, stdout=True, tty=True,
                 _preload_content=False).is_open(), True)
    said("exec, its input, errors and exit code")
    s = stream(run, "py", NS, command=["sh"], stdin=True, stdout=True, tty=True, _preload_content=False)
    for width in 91, 92:
        s.write_channel(RESIZE_CHANNEL, json.dumps({"Width": width, "Height": 33}))
        s.write_stdin(f"until stty size | grep -x '33[ ]{width}'; do sleep 0.1; done\n")
        hears(s, f"33 {width}")
    is_answered(s, "there?")
    s.write_stdin("exit 3\n")
    s.run_forever(timeout=60)
    equal(s.returncode, 3)
    said("a terminal that changes its size, and pings")

    forward = portforward(core.connect_get_namespaced_pod_portforward, "py", NS, ports="7")
    s = forward.socket(7)
    s.setblocking(True)
    try:
        s.sendall(b"x")
        s.recv(1)
    except OSError:
        pass
    until("it says why", lambda: forward.error(7))
    equal("refused" in forward.error(7), True)
    said("port-forward tells that nobody listens")
    core.delete_namespaced_pod("py", NS)
    until("it is gone", lambda: not core.list_namespaced_pod(NS, field_selector="metadata.name=py").items)


def outside():
    api = config.new_client_from_config()
    core = client.CoreV1Api(api)
    equal(client.VersionApi(api).get_code().major, "1")
    name = objects(core)
    patches(core, api, name)
    watches(core, name)
    streams(core)
    auth = client.AuthorizationV1Api(api)
    review = auth.create_self_subject_access_review({"spec": {"resourceAttributes": {
        "verb": "create", "resource": "pods", "subresource": "exec", "namespace": NS}}})
    equal(review.status.allowed, True)
    said("and may ask what it may do")


def inside():
    config.load_incluster_config()
    core = client.CoreV1Api()
    with open("/var/run/secrets/kubernetes.io/serviceaccount/namespace") as f:
        ns = f.read()
    names = [p.metadata.name for p in core.list_namespaced_pod(ns).items]
    equal("inside" in names, True)
    equal(core.read_namespaced_pod("inside", ns).spec.service_account_name, "py")
    for event in watch.Watch().stream(core.list_namespaced_pod, ns, field_selector="metadata.name=inside",
                                      timeout_seconds=60):
        equal((event["type"], event["object"].metadata.name), ("ADDED", "inside"))
        break
    said("reads pods as its role lets it")
    core.create_namespaced_config_map(ns, client.V1ConfigMap(metadata=client.V1ObjectMeta(name="told")))
    core.patch_namespaced_config_map("told", ns, {"data": {"by": "inside"}})
    core.delete_namespaced_config_map("told", ns)
    seen = core.create_namespaced_event(ns, client.CoreV1Event(
        metadata=client.V1ObjectMeta(generate_name="inside."), reason="Looked", type="Normal", count=1,
        involved_object=client.V1ObjectReference(kind="Pod", namespace=ns, name="inside"),
        source=client.V1EventSource(component="py")))
    core.patch_namespaced_event(seen.metadata.name, ns, {"count": 2})
    said("writes what its role lets it")
    run = core.connect_get_namespaced_pod_exec
    equal(stream(run, "inside", ns, command=["echo", "ahoy there"], stdout=True), "ahoy there\n")
    s = stream(run, "inside", ns, command=["sh", "-c", "read x; echo got $x; exit 7"], stdin=True, stdout=True,
               _preload_content=False)
    s.write_stdin("this\n")
    s.run_forever(timeout=60)
    equal((s.read_stdout(), s.returncode), ("got this\n", 7))
    said("and runs programs in pods")
    who = "system:serviceaccount:default:py"
    for verb, what, call in (
            ("list", "secrets", lambda: core.list_namespaced_secret(ns)),
            ("delete", "pods", lambda: core.delete_namespaced_pod("inside", ns)),
            ("create", "pods", lambda: core.create_namespaced_pod(ns, pod("more"))),
            ("deletecollection", "configmaps", lambda: core.delete_collection_namespaced_config_map(ns))):
        message = refused(403, "Forbidden", call)
        equal(f'User "{who}" cannot {verb} resource "{what}" in API group "" in the namespace "{ns}"' in message, True)
    message = refused(403, "Forbidden", lambda: core.list_namespaced_pod("kube-system"))
    equal('in the namespace "kube-system"' in message, True)
    message = refused(403, "Forbidden", core.list_node)
    equal(f'User "{who}" cannot list resource "nodes" in API group "" at the cluster scope' in message, True)
    message = refused(403, "Forbidden", core.connect_get_namespaced_pod_proxy, "inside", ns)
    equal('cannot get resource "pods/proxy"' in message, True)
    said("and nothing else")
    good = client.Configuration.get_default_copy()
    bad = client.Configuration(host=good.host, api_key={"authorization": "Bearer nobody"})
    bad.ssl_ca_cert = good.ssl_ca_cert
    refused(401, "Unauthorized", client.CoreV1Api(client.ApiClient(bad)).list_namespaced_pod, ns)
    said("nor anything without its token")


def files():
    """The interpreter, each module that is loaded by now, and what all those are linked to."""
    for m in sys.modules.values():
        for f in getattr(m, "__file__", None), getattr(m, "__cached__", None):
            if f and os.path.exists(f):
                print(f)
    print(os.path.realpath(sys.executable))
    for line in open("/proc/self/maps"):
        path = line.rstrip().partition("/")[2]
        if ".so" in path:
            print("/" + path)


if __name__ == "__main__":
    {"outside": outside, "inside": inside, "files": files}[sys.argv[1]]()

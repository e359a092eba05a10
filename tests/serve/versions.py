"""Models, versions, operations: paging, masks, default rules, delete rules, partial answers, the discovery document."""
from harness import JPEG, Server, b64, check, close, model, new_home, predict_alone, read, same, scores_of

one, other = model("three"), model("other")

with Server(new_home()) as server:
    base = "/v1/projects/p/models"
    same(server.get(base).json, {}, "an empty list")
    for i in range(5):
        server.create_model(f"m{i}")
    page = server.get(f"{base}?pageSize=2").json
    names = [m["name"] for m in page["models"]]
    while "nextPageToken" in page:
        page = server.get(f"{base}?pageSize=2&pageToken={page['nextPageToken']}").json
        names += [m["name"] for m in page["models"]]
    same(names, [f"projects/p/models/m{i}" for i in range(5)], "pages")
    same(server.get(f"{base}/m0?fields=name").json, {"name": "projects/p/models/m0"}, "fields=")
    same(server.get(f"{base}?fields=models(name)&pageSize=1").json, {"models": [{"name": names[0]}]}, "nested fields=")
    check(b"\n" in server.get(f"{base}/m0?prettyPrint=true").body.strip(), "prettyPrint=true")
    for bad in ("", "1m", "a-b", "a" * 129, "ä"):
        answer = server.post(base, {"name": bad})
        same((answer.code, answer.json["error"]["status"]), (400, "INVALID_ARGUMENT"), f"name {bad!r}")

    server.deploy(one, "m0", "v1")
    server.deploy(other, "m0", "v2")
    versions = server.get(f"{base}/m0/versions").json["versions"]
    same([v.get("isDefault", False) for v in versions], [True, False], "the first is the default")
    wanted = {"v1": predict_alone(one, JPEG)[0], "v2": predict_alone(other, JPEG)[0]}
    instance = {"inputs": b64(read(JPEG))}

    def ask(version=None):
        answer = server.predict([instance], "m0", version=version)
        same(answer.code, 200, f"predict with {version}: {answer}")
        return scores_of(answer.json["predictions"])[0]
    close(ask(), wanted["v1"], "default")
    close(ask("v2"), wanted["v2"], "by name")
    answer = server.post(f"{base}/m0/versions/v2:setDefault")
    same((answer.code, answer.json.get("isDefault")), (200, True), f"setDefault: {answer}")
    close(ask(), wanted["v2"], "the new default")

    answer = server.call("PATCH", f"{base}/m0/versions/v1?updateMask=description", {"description": "older", "labels": {"a": "b"}})
    same(answer.code, 200, f"patch: {answer}")
    version = server.get(f"{base}/m0/versions/v1").json
    same((version["description"], version.get("labels")), ("older", None), "only what the mask names")
    answer = server.call("PATCH", f"{base}/m0/versions/v1?updateMask=deploymentUri", {"deploymentUri": "gs://x/y"})
    same(answer.code, 400, "what never changes")
    answer = server.call("PATCH", f"{base}/m0?updateMask=description", {"description": "x", "etag": "AAAA"})
    same((answer.code, answer.json["error"]["status"]), (409, "ABORTED"), f"another etag: {answer}")

    same(server.call("DELETE", f"{base}/m0/versions/v2").code, 400, "the default stays while there are others")
    same(server.call("DELETE", f"{base}/m0").code, 400, "a model with versions stays")
    answer = server.call("DELETE", f"{base}/m0/versions/v1")
    same(answer.code, 200, f"delete: {answer}")
    check("error" not in server.wait_operation(answer.json["name"]), "the delete's operation")
    same(server.get(f"{base}/m0/versions/v1").code, 404, "it is gone")
    same(server.predict([instance], "m0", version="v1").code, 404, "and answers no more")
    close(ask(), wanted["v2"], "the other goes on")

    # What is no model fails with a reason, and is not served.
    server.upload(JPEG, "gs://bucket/bad/model.safetensors")
    answer = server.post(f"{base}/m1/versions", {"name": "bad", "deploymentUri": "gs://bucket/bad"})
    same(answer.code, 200, f"versions.create answers at once: {answer}")
    operation = server.wait_operation(answer.json["name"])
    check(operation["error"]["message"], "the reason")
    version = server.get(f"{base}/m1/versions/bad").json
    same(version["state"], "FAILED", "its state")
    check(version["errorMessage"], "its message")
    answer = server.predict([instance], "m1")
    check(answer.code in (400, 404), f"a model without a version that is ready: {answer}")
    answer = server.post(f"{base}/m1/versions", {"name": "nowhere", "deploymentUri": "gs://bucket/nowhere"})
    same(answer.code, 404, "nothing at the address")
    for uri in ("file:///etc", "gs://bucket/../../x", "https://example.org/x", "/etc"):
        answer = server.post(f"{base}/m1/versions", {"name": "v", "deploymentUri": uri})
        check(answer.code in (400, 403, 404), f"deploymentUri {uri}: {answer}")

    operations = server.get("/v1/projects/p/operations").json["operations"]
    check(all(o["done"] for o in operations) and len(operations) >= 4, "all operations are done")
    check(server.get("/v1/projects/p/locations").code == 200, "locations")
    same(server.get("/v1/projects/p:getConfig").code, 200, "getConfig")
    for path in ("/$discovery/rest?version=v1", "/discovery/v1/apis/ml/v1/rest"):
        document = server.get(path).json
        same(document["rootUrl"], server.url + "/", f"rootUrl at {path}")
        check("predict" in document["resources"]["projects"]["methods"], "predict is described")

# The same home again: everything is there, and answers.
with Server(f"{server.home}") as again:
    server = again
    close(ask(), wanted["v2"], "after a restart")
    same(len(again.get(base).json["models"]), 5, "models after a restart")

"""/graft/v1/models/M:classify: a raw body, a form, top-k, timings; ?debug=1 tells where two machines part."""
from harness import JPEG, Server, check, classes_of, close, model, new_home, pictures, predict_alone, read, same

path = model("three")
photos = [JPEG, *pictures("food", 1)]
wanted = predict_alone(path, *photos)


def form(*files):
    body = b"".join(b'--xyz\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n' + f + b"\r\n" for f in files)
    return body + b"--xyz--\r\n", {"Content-Type": "multipart/form-data; boundary=xyz"}


def scores(item):
    found = dict(zip(item["labels"], item["scores"])) if "labels" in item else {e["label"]: e["score"] for e in item["top"]}
    return [found[name] for name in classes_of(path)]


with Server(new_home()) as server:
    server.deploy(path, "m", "v1", project="default")
    url = "/graft/v1/models/m:classify"
    answer = server.call("POST", url + "?top=3", read(JPEG), {"Content-Type": "image/jpeg"})
    same(answer.code, 200, f"raw: {answer}")
    item = answer.json["predictions"][0] if "predictions" in answer.json else answer.json
    close(scores(item), wanted[0], "raw")
    check("timings" in answer.json or "timings" in item, "timings")
    body, headers = form(*map(read, photos))
    answer = server.call("POST", url + "?top=3", body, headers)
    same(answer.code, 200, f"form: {answer}")
    for i, item in enumerate(answer.json["predictions"]):
        close(scores(item), wanted[i], f"form, part {i}")
    answer = server.call("POST", url + "?debug=1", read(JPEG), {"Content-Type": "image/jpeg"})
    debug = server.call("POST", url + "?debug=1", read(JPEG), {"Content-Type": "image/jpeg"})
    same(answer.code, 200, f"debug: {answer}")
    check(b'"tensor"' in answer.body and b'"features"' in answer.body and b'"logits"' in answer.body, f"hashes: {answer}")
    hashes = [(a.json["predictions"][0] if "predictions" in a.json else a.json)["debug"] for a in (answer, debug)]
    same([h["tensor"] for h in hashes], [hashes[0]["tensor"]] * 2, "the same picture, the same hash")

    for body, headers, code in [(b"", {"Content-Type": "image/jpeg"}, 400), (b"xyz", {"Content-Type": "image/jpeg"}, 400),
                                (b"--xyz", {"Content-Type": "multipart/form-data; boundary=xyz"}, 400),
                                (b"--xyz", {"Content-Type": "multipart/form-data"}, 400), (*form(), 400),
                                (*form(read(JPEG), b"xyz"), 400)]:
        answer = server.call("POST", url, body, headers)
        same(answer.code, code, f"{body[:20]!r}: {answer}")
        check(answer.json["error"]["message"], "errors have a message")
    same(server.call("POST", "/graft/v1/models/none:classify", read(JPEG), {"Content-Type": "image/jpeg"}).code, 404, "no such model")

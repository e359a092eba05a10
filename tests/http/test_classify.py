"""/graft/v1/models/M:classify: a raw picture, a form of several, top-k, timings; ?debug=1 tells where two machines part."""
import harness
from harness import JPEG, JPEG_PATH, OTHER_PICTURE, PICTURE, PICTURE_PATH, b64

PATH = "/graft/v1/models/stamps:classify"
FORM = {"Content-Type": "multipart/form-data; boundary=graft-test-edge"}


def form(*files, of_type=""):
    """files: (name, content)"""
    head = '--graft-test-edge\r\nContent-Disposition: form-data; name="{0}"; filename="{0}.png"\r\n' + of_type + "\r\n"
    return b"".join(head.format(name).encode() + content + b"\r\n" for name, content in files) + b"--graft-test-edge--\r\n"


class Classify(harness.ServerCase):
    def classify(self, body, headers=None, query=""):
        return self.ask("POST", PATH + query, body, headers)

    def check_prediction(self, found, wanted, n_top=None):
        self.check_scores([found["scores"][kind] for kind in harness.KINDS], wanted)
        self.assertEqual(set(found["scores"]), set(harness.KINDS))
        self.assertEqual(found["score"], max(found["scores"].values()))
        if n_top:
            self.assertEqual(len(found["top"]), n_top)
            self.assertEqual((found["top"][0]["label"], found["top"][0]["score"]), (found["label"], found["score"]))

    def test_a_raw_picture_is_all_it_takes(self):
        for path, kind, content in ((JPEG_PATH, "jpeg", JPEG), (PICTURE_PATH, "png", PICTURE)):
            answer = self.check_code(self.classify(content, {"Content-Type": "image/" + kind}, "?top=2"), 200).json
            (found,) = answer["predictions"]
            (wanted,) = harness.expected_scores(harness.stamps(), path)
            self.check_prediction(found, wanted, 2)
            self.assertIn("timings", answer)

    def test_a_form_may_hold_several_which_are_named_in_their_order(self):
        for of_type in ("", "Content-Type: image/png\r\n"):
            body = form(("one", PICTURE), ("two", OTHER_PICTURE), ("three", JPEG), of_type=of_type)
            found = self.check_code(self.classify(body, FORM, "?top=3"), 200).json["predictions"]
            self.assertEqual([one["file"] for one in found], ["one.png", "two.png", "three.png"])
            for one, wanted in zip(found, harness.expected_scores(harness.stamps(), PICTURE_PATH, harness.OTHER_PATH, JPEG_PATH), strict=True):
                self.check_prediction(one, wanted, 3)

    def test_blanks_may_stand_behind_a_boundary(self):
        plain = form(("one", PICTURE), ("two", OTHER_PICTURE))
        boundary = plain[:plain.index(b"\r\n")]
        for padded in (plain.replace(boundary + b"\r\n", boundary + b" \t\r\n", 1), plain.replace(boundary + b"\r\n", boundary + b" \r\n")):
            self.assertEqual(len(self.check_code(self.classify(padded, FORM), 200).json["predictions"]), 2)

    def test_every_path_gives_the_same_answer(self):
        answers = [self.check_code(self.ask("POST", path + ":classify", PICTURE), 200).json
                   for path in ("/graft/v1/models/stamps", "/graft/v1/models/stamps/versions/v1", "/graft/v1/projects/default/models/stamps",
                                "/graft/v1/projects/default/models/stamps/versions/v1")]
        for answer in answers:
            self.assertEqual((answer["model"], answer["version"]), ("stamps", "v1"))
            self.assertEqual(answer["predictions"], answers[0]["predictions"])
            self.assertLessEqual({"queue_ms", "decode_ms", "network_ms", "head_ms", "total_ms", "cold_start_ms", "load_ms"}, set(answer["timings"]))
        for path in ("/graft/v1/models/nobody", "/graft/v1/models/stamps/versions/v9", "/graft/v1/projects/nobody/models/stamps"):
            self.check_code(self.ask("POST", path + ":classify", PICTURE), 404)

    def test_top_and_debug(self):
        (found,) = self.check_code(self.classify(PICTURE, query="?top=99&debug=1"), 200).json["predictions"]
        self.assertEqual([one["score"] for one in found["top"]], sorted(found["scores"].values(), reverse=True))
        self.assertEqual(len(found["debug"]["logitValues"]), 3)
        for top in ("0", "-1", "x", "1.5", ""):
            self.check_code(self.classify(PICTURE, query="?top=" + top), 400)
        hashes = [self.classify(content, query="?debug=1").json["predictions"][0]["debug"] for content in (PICTURE, PICTURE, JPEG)]
        for key in ("tensor", "features", "logits"):
            self.assertEqual(hashes[0][key], hashes[1][key], "the same picture, the same hash")
            self.assertNotEqual(hashes[0][key], hashes[2][key], "another picture, another hash")

    def test_what_cannot_be_a_picture_is_refused(self):
        answer = self.check_code(self.classify({"instances": [b64(PICTURE)]}), 400)
        self.assertIn(":predict", answer.json["error"]["message"])
        jpeg = {"Content-Type": "image/jpeg"}
        for body, headers in ((b"", {}), (b"", jpeg), (b"xyz", jpeg), (b"--graft-test-edge", FORM), (form(), FORM),
                              (b"--x--\r\n", {"Content-Type": "multipart/form-data; boundary=x"}), (b"--x", {"Content-Type": "multipart/form-data"}),
                              (form(("one", PICTURE), ("two", b"xyz")), FORM)):
            with self.subTest(body=body[:20], headers=headers):
                error = self.check_code(self.classify(body, headers), 400).json["error"]
                self.assertEqual(error["status"], "INVALID_ARGUMENT")
                self.assertTrue(error["message"])


if __name__ == "__main__":
    harness.main()

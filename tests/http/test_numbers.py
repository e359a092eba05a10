"""Models of numbers, as the article's companion example: a table's rows in every family, and the same answer from each."""
import json
import os
import struct

import harness
from harness import IRIS_COLUMNS, b64, iris_row

ROWS = [iris_row(i, i % 3) for i in range(9)]
CLASSES = ["kind0", "kind1", "kind2"]
PREDICT = "/v1/projects/default/models/iris:predict"


class Numbers(harness.ServerCase):
    models = {"iris": harness.iris}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        path = os.path.join(cls.folder, "rows.csv")
        harness.write(path, ("\n".join([",".join(IRIS_COLUMNS)] + [",".join(map(str, row)) for row in ROWS]) + "\n").encode())
        said = json.loads(harness.run_graft(cls.home, "predict", harness.iris(), "--numbers", path, "--top", 3, "--json").stdout)
        cls.wanted = [[{e["class"]: e["score"] for e in item["top"]}[name] for name in CLASSES] for item in said]

    def check_rows(self, rows, what):
        self.assertEqual(len(rows), len(ROWS), what)
        for row, wanted in zip(rows, self.wanted):
            self.check_scores(row, wanted, what)

    def test_the_model_has_learned(self):
        rows = harness.scores_of(self.check_code(self.ask("POST", PREDICT, {"instances": ROWS}), 200))
        self.assertEqual([row.index(max(row)) for row in rows], [i % 3 for i in range(9)])

    def test_ml_v1_takes_rows_bare_by_the_input_s_name_and_by_columns(self):
        for instances in (ROWS, [{"inputs": row} for row in ROWS], [dict(zip(IRIS_COLUMNS, row)) for row in ROWS],
                          [dict(reversed(list(zip(IRIS_COLUMNS, row)))) for row in ROWS]):
            answer = self.check_code(self.ask("POST", PREDICT, {"instances": instances}), 200)
            self.check_rows(harness.scores_of(answer), instances[0])
        keyed = self.ask("POST", PREDICT, {"instances": [{"inputs": row, "key": i} for i, row in enumerate(ROWS)]})
        self.assertEqual([one["key"] for one in keyed.json["predictions"]], list(range(9)))

    def test_tensorflow_serving_and_kserve_v1(self):
        for path in ("/v1/models/iris:predict", "/v1/models/iris/versions/1:predict"):
            self.check_rows(self.check_code(self.ask("POST", path, {"instances": ROWS}), 200).json["predictions"], path)
            self.check_rows(self.check_code(self.ask("POST", path, {"inputs": ROWS}), 200).json["outputs"], path)
        for examples in ([dict(zip(IRIS_COLUMNS, row)) for row in ROWS], [{"x": row} for row in ROWS]):
            results = self.check_code(self.ask("POST", "/v1/models/iris:classify", {"examples": examples}), 200).json["results"]
            self.check_rows([[dict(row)[name] for name in CLASSES] for row in results], "classify")
        signature = self.ask("GET", "/v1/models/iris/metadata").json["metadata"]["signature_def"]["signature_def"]["serving_default"]
        (given,) = signature["inputs"].values()
        self.assertEqual([d["size"] for d in given["tensor_shape"]["dim"]], ["-1", "4"])
        self.assertEqual(given["dtype"], "DT_FLOAT")

    def test_the_open_inference_protocol_in_json_and_binary(self):
        about = self.check_code(self.ask("GET", "/v2/models/iris"), 200).json
        (given,), (scores,) = about["inputs"], about["outputs"]
        self.assertEqual((given["datatype"], given["shape"], scores["shape"]), ("FP32", [-1, 4], [-1, 3]))
        flat = [value for row in ROWS for value in row]
        for datatype in ("FP32", "FP64"):
            tensor = {"name": given["name"], "shape": [9, 4], "datatype": datatype, "data": flat}
            (output,) = self.check_code(self.ask("POST", "/v2/models/iris/infer", {"inputs": [tensor]}), 200).json["outputs"]
            self.assertEqual(output["shape"], [9, 3])
            self.check_scores(output["data"], sum(self.wanted, []), datatype)
        head = json.dumps({"inputs": [{"name": given["name"], "shape": [9, 4], "datatype": "FP32", "parameters": {"binary_data_size": 144}}],
                           "parameters": {"binary_data_output": True}}).encode()
        answer = self.ask("POST", "/v2/models/iris/infer", head + struct.pack("<36f", *flat), {"Inference-Header-Content-Length": str(len(head))})
        n_json = int(self.check_code(answer, 200).headers["Inference-Header-Content-Length"])
        self.check_scores(struct.unpack("<27f", answer.body[n_json:]), sum(self.wanted, []), "binary")

    def test_the_raw_form_is_one_row(self):
        def infer(sent):
            return self.ask("POST", "/v2/models/iris/infer", sent, {"Inference-Header-Content-Length": "0"})
        row = struct.pack("<4f", *ROWS[0])
        answer = self.check_code(infer(row), 200)
        n_json = int(answer.headers["Inference-Header-Content-Length"])
        self.check_scores(struct.unpack("<3f", answer.body[n_json:]), self.wanted[0], "raw")
        for bad in (b"", row[:-1], row + row):
            self.assertIn("one row of 4 FP32 numbers has 16", self.check_code(infer(bad), 400).json["error"])

    def test_json_numbers_are_of_the_tensor_s_type(self):
        for datatype, value, code in (("INT8", 127, 200), ("INT8", 128, 400), ("INT8", -128, 200), ("INT8", -129, 400), ("UINT8", -1, 400), ("UINT8", 255, 200),
                                      ("UINT8", 256, 400), ("INT64", 0.5, 400), ("UINT64", -1, 400), ("INT32", 2147483647, 200), ("FP32", 0.5, 200)):
            tensor = {"name": "inputs", "shape": [1, 4], "datatype": datatype, "data": [1, 2, 3, value]}
            answer = self.check_code(self.ask("POST", "/v2/models/iris/infer", {"inputs": [tensor]}), code)
            if code == 400:
                self.assertEqual(answer.json["error"], f'input "inputs": data[3]: {value} is no {datatype}')

    def test_an_id_is_a_text_and_comes_back(self):
        request = {"inputs": [{"name": "inputs", "shape": [1, 4], "datatype": "FP32", "data": ROWS[0]}]}
        self.assertEqual(self.ask("POST", "/v2/models/iris/infer", dict(request, id="7")).json["id"], "7")
        self.assertIn("id: expected a string", self.check_code(self.ask("POST", "/v2/models/iris/infer", dict(request, id=7)), 400).json["error"])

    def test_graft_predict_asks_the_server(self):
        path = os.path.join(self.folder, "rows.jsonl")
        harness.write(path, "".join(json.dumps(row) + "\n" for row in ROWS).encode())
        said = json.loads(self.server.graft("predict", "--model", "iris", "--json-instances", path, "--json").stdout)
        self.check_rows([one["outputs"] for one in said["predictions"]], "graft predict")

    def test_what_is_no_row_is_named(self):
        row = ROWS[0]
        columns = dict(zip(IRIS_COLUMNS, row))
        for bad in (row[:3], row + [1.0], [], [1, 2, 3, "x"], [1, 2, 3, None], b64(harness.PICTURE), [[row]], {"inputs": row[:3]},
                    {name: columns[name] for name in IRIS_COLUMNS[:3]}, dict(columns, petal_width="wide")):
            with self.subTest(bad=str(bad)[:60]):
                answer = self.check_code(self.ask("POST", PREDICT, {"instances": [row, bad]}), 400)
                self.assertIn("instances[1]", str(answer.json["error"]))
                answer = self.check_code(self.ask("POST", "/v1/models/iris:predict", {"instances": [row, bad]}), 400)
                self.assertIn("instances[1]", answer.json["error"])
        for shape, data in (([1, 3], row[:3]), ([2, 4], row), ([1, 5], row + [1])):
            tensor = {"name": "inputs", "shape": shape, "datatype": "FP32", "data": data}
            self.check_code(self.ask("POST", "/v2/models/iris/infer", {"inputs": [tensor]}), 400)
        error = self.check_code(self.ask("POST", "/graft/v1/models/iris:classify", harness.PICTURE), 400).json["error"]
        self.assertIn("numbers", error["message"])


class Container(harness.HomeCase):
    def test_vertex_s_paths_serve_rows(self):
        storage = self.scratch()
        harness.shutil.copy(harness.iris(), storage)
        server = self.serve(env={"AIP_HTTP_PORT": "0", "AIP_STORAGE_URI": storage, "AIP_HEALTH_ROUTE": "/health", "AIP_PREDICT_ROUTE": "/ask"})
        harness.wait_for(lambda: server.ask("GET", "/health").code == 200, "the model to be ready")
        rows = self.check_code(server.ask("POST", "/ask", {"instances": ROWS}), 200).json["predictions"]
        self.assertEqual([row.index(max(row)) for row in rows], [i % 3 for i in range(9)])


if __name__ == "__main__":
    harness.main()

"""Answers validate against OpenAI's published interface description, where it is at hand."""
import json
import os
import unittest

from house import MODEL, House, events_of

DESCRIPTION = os.environ.get("WEIR_OPENAPI", "")


def allow_null(schema):
    """OpenAPI 3.0's "nullable" in JSON Schema's own words."""
    if isinstance(schema, list):
        return [allow_null(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: allow_null(value) for key, value in schema.items()}
    if schema.get("nullable") is True and isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
        if "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
    return schema


@unittest.skipUnless(os.path.exists(DESCRIPTION), "skipped: OpenAI's interface description is not here (set WEIR_OPENAPI)")
class Shapes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        import jsonschema
        with open(DESCRIPTION, encoding="utf-8") as file:
            cls.document = allow_null(json.load(file))
        cls.jsonschema = jsonschema
        cls.house = House()

    @classmethod
    def tearDownClass(cls):
        cls.house.close()

    def check(self, answer, name):
        schema = {"$ref": f"#/components/schemas/{name}", "components": self.document["components"]}
        self.jsonschema.Draft202012Validator(schema).validate(answer)

    def test_chat(self):
        for more in ({}, {"logprobs": True, "top_logprobs": 2}, {"n": 2}, {"stop": ["e"]}):
            self.check(self.house.chat("hello", **more)[2], "CreateChatCompletionResponse")

    def test_chat_stream(self):
        for more in ({}, {"logprobs": True, "top_logprobs": 2}, {"n": 2}, {"stream_options": {"include_usage": True}}):
            events = events_of(self.house.chat("hello", stream=True, **more)[2])
            self.assertEqual(events.pop(), "[DONE]")
            for event in events:
                # Null in all chunks but the last: the description says so in words, not in its schema.
                if event.get("usage", 0) is None:
                    event.pop("usage")
                self.check(event, "CreateChatCompletionStreamResponse")

    def test_completions(self):
        for more in ({}, {"logprobs": 2}, {"echo": True, "logprobs": 1}, {"n": 2, "best_of": 3}, {"prompt": [[5, 6], [7]]}):
            body = {"model": MODEL, "prompt": "Once", "max_tokens": 5} | more
            self.check(self.house.ask("/v1/completions", body)[2], "CreateCompletionResponse")
        events = events_of(self.house.ask("/v1/completions", {"model": MODEL, "prompt": "Once", "stream": True})[2])
        self.assertEqual(events.pop(), "[DONE]")
        for event in events:  # OpenAI's own streams say null until a choice ends; its description does not
            for choice in event["choices"]:
                choice["finish_reason"] = choice["finish_reason"] or "stop"
            self.check(event, "CreateCompletionResponse")

    def test_models_and_errors(self):
        self.check(self.house.ask("/v1/models")[2], "ListModelsResponse")
        self.check(self.house.ask(f"/v1/models/{MODEL}")[2], "Model")
        self.check(self.house.chat("hello", model="nobody")[2], "ErrorResponse")


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/env python3
"""The conversation of bench_templates, rendered by Jinja2 as transformers sets it up. Best of nine.

usage: peers.py TEMPLATE.jinja …
"""
import json
import sys
import time
from datetime import datetime

from jinja2.exceptions import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment


def conversation(with_tools):
    messages = []
    turn = 0
    while len(messages) < 50:
        messages.append({"role": "user", "content":
                         f"Question {turn}: what will the weather be in Rome and in Oslo?"})
        if with_tools and turn % 3 == 0:
            call = {"id": f"call{turn:05}", "type": "function",
                    "function": {"name": "get_weather", "arguments": {"city": "Rome", "days": 3}}}
            messages.append({"role": "assistant", "content": "", "tool_calls": [call]})
            messages.append({"role": "tool", "content": '{"sky": "clear", "degrees": 21.5}',
                             "tool_call_id": call["id"]})
        messages.append({"role": "assistant", "content":
                         "It will be clear, with a light wind from the north-west."})
        turn += 1
    messages = messages[:49] + [{"role": "user", "content": "And tomorrow?"}]
    tool = {"type": "function", "function": {
        "name": "get_weather", "description": "The weather of a place",
        "parameters": {"type": "object", "properties": {
            "city": {"type": "string", "description": "where"},
            "days": {"type": "integer", "description": "how long"}}, "required": ["city"]}}}
    return {"messages": messages, "tools": [tool] if with_tools else None, "bos_token": "<s>",
            "eos_token": "</s>", "add_generation_prompt": True}


def refuse(message):
    raise TemplateError(message)


def compiled(path):
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                                extensions=[loopcontrols])
    environment.filters["tojson"] = lambda value, ensure_ascii=False, indent=None, **_: json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent)
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment.from_string(open(path, encoding="utf-8").read())


def measure(path):
    for with_tools in (True, False):
        try:
            template = compiled(path)
            context = conversation(with_tools)
            size = len(template.render(**context).encode("utf-8"))
        except Exception as error:  # a template's own refusals come as all kinds
            reason = f"{type(error).__name__}: {error}"
            continue
        best = 1e9
        for _ in range(9):
            begin, calls = time.perf_counter(), 0
            while (elapsed := time.perf_counter() - begin) < 0.05 or calls == 0:
                template.render(**context)
                calls += 1
            best = min(best, elapsed / calls)
        tools = " with tools" if with_tools else "           "
        print(f"{best * 1e6:7.0f} us  {size:6} bytes{tools}  {path}", flush=True)
        return
    print(f"{path}: {reason}")


for name in sys.argv[1:]:
    measure(name)

#include "text/output/known.h"

#include <initializer_list>

namespace weir::text {
namespace {

using Arguments = CallFormat::Arguments;
using Field = CallFormat::Field;
using Kind = CallFormat::Kind;
using KeyType = CallFormat::KeyEnd::Type;

bool has_all(std::string_view source, std::initializer_list<std::string_view> texts) {
    for (const std::string_view text : texts) {
        if (source.find(text) == source.npos) {
            return false;
        }
    }
    return true;
}

CallFormat json_between(std::string begin, std::string end) {
    CallFormat calls;
    calls.kind = Kind::Json;
    calls.section_begin = std::move(begin);
    calls.section_end = std::move(end);
    return calls;
}

CallFormat named(std::string begin, std::string name_end, std::string end) {
    CallFormat calls;
    calls.kind = Kind::Named;
    calls.call_begin = std::move(begin);
    calls.fields = {{Field::Name, std::move(name_end)}};
    calls.call_end = std::move(end);
    return calls;
}

CallFormat python_between(std::string begin, std::string end) {
    CallFormat calls = named("", "(", "");
    calls.section_begin = std::move(begin);
    calls.section_end = std::move(end);
    calls.arguments = Arguments::Python;
    return calls;
}

// <invoke name="f"><parameter name="k">v</parameter></invoke>
CallFormat invokes(std::string section, std::string prefix) {
    CallFormat calls = named("<" + prefix + "invoke name=\"", "\">", "</" + prefix + "invoke>");
    calls.arguments = Arguments::Tagged;
    calls.section_begin = "<" + section + ">";
    calls.section_end = "</" + section + ">";
    calls.parameter_begin = "<" + prefix + "parameter name=\"";
    calls.key_ends = {{"\" string=\"true\">", KeyType::String},
                      {"\" string=\"false\">", KeyType::Json},
                      {"\">", KeyType::BySchema}};
    calls.value_end = "</" + prefix + "parameter>";
    return calls;
}

CallFormat function_tags(std::string section_begin, std::string section_end) {
    CallFormat calls = named("<function=", ">", "</function>");
    calls.arguments = Arguments::Tagged;
    calls.section_begin = std::move(section_begin);
    calls.section_end = std::move(section_end);
    calls.parameter_begin = "<parameter=";
    calls.key_ends = {{">", KeyType::BySchema}};
    calls.value_end = "</parameter>";
    calls.value_padded = true;
    return calls;
}

CallFormat glm() {
    CallFormat calls = named("<tool_call>", "", "</tool_call>");
    calls.arguments = Arguments::Tagged;
    calls.parameter_begin = "<arg_key>";
    calls.key_ends = {{"</arg_key><arg_value>", KeyType::BySchema},
                      {"</arg_key> <arg_value>", KeyType::BySchema}};
    calls.value_end = "</arg_value>";
    return calls;
}

CallFormat deepseek(bool is_fenced) {
    CallFormat calls =
        is_fenced ? named("<｜tool▁call▁begin｜>function<｜tool▁sep｜>", "```json",
                          "```<｜tool▁call▁end｜>")
                  : named("<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>");
    calls.section_begin = "<｜tool▁calls▁begin｜>";
    calls.section_end = "<｜tool▁calls▁end｜>";
    return calls;
}

CallFormat kimi() {
    CallFormat calls =
        named("<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>");
    calls.section_begin = "<|tool_calls_section_begin|>";
    calls.section_end = "<|tool_calls_section_end|>";
    calls.name_has_index = true;
    return calls;
}

CallFormat quoted(std::string begin, std::string end, std::string quote) {
    CallFormat calls = named(std::move(begin), "{", std::move(end));
    calls.arguments = Arguments::Quoted;
    calls.quote = std::move(quote);
    return calls;
}

// Kimi K3: everything between "open" and "close", with attributes.
OutputFormat opened_sections() {
    const auto opened = [](std::string_view what) {
        return "<|open|>" + std::string(what) + "<|sep|>";
    };
    const auto closed = [](std::string_view what) {
        return "<|close|>" + std::string(what) + "<|sep|>";
    };
    OutputFormat format;
    format.reasoning_begin = opened("think");
    format.reasoning_end = closed("think");
    format.content_begin = opened("response");
    format.content_end = closed("response");
    format.ends = {closed("message"), "<|end_of_msg|>"};
    CallFormat& calls = format.calls;
    calls = named("<|open|>call tool=\"", "\" index=\"", closed("call"));
    calls.fields.push_back({Field::Position, "\"<|sep|>"});
    calls.arguments = Arguments::Tagged;
    calls.section_begin = opened("tools");
    calls.section_end = closed("tools");
    calls.parameter_begin = "<|open|>argument key=\"";
    calls.key_ends = {{"\" type=\"string\"<|sep|>", KeyType::String}};
    for (const std::string_view type :
         {"number", "integer", "boolean", "null", "object", "array"}) {
        calls.key_ends.push_back({"\" type=\"" + std::string(type) + "\"<|sep|>", KeyType::Json});
    }
    calls.value_end = closed("argument");
    return format;
}

CallFormat mistral(std::string_view source) {
    if (source.find("[ARGS]") == source.npos) {
        return json_between("[TOOL_CALLS]", "");
    }
    CallFormat calls = named("[TOOL_CALLS]", "[CALL_ID]", "");
    calls.fields.push_back({Field::Id, "[ARGS]"});
    return calls;
}

// <tool_call> means three things.
CallFormat tool_call_tags(std::string_view source) {
    if (source.find("<arg_key>") != source.npos) {
        return glm();
    }
    if (source.find("<function=") != source.npos) {
        return function_tags("<tool_call>", "</tool_call>");
    }
    return json_between("<tool_call>", "</tool_call>");
}

}  // namespace

bool find_whole_format(std::string_view source, OutputFormat& format) {
    if (has_all(source, {"<|start|>", "<|channel|>", "<|message|>"})) {
        format.is_harmony = true;
        return true;
    }
    if (has_all(source, {"<|open|>", "<|close|>", "<|sep|>", "response", "argument"})) {
        format = opened_sections();
        return true;
    }
    if (has_all(source, {">>>all"}) || has_all(source, {"'>>>'", "all"})) {
        format.calls = named(">>>", "\n", "");
        format.calls.text_name = "all";
        return true;
    }
    return false;
}

bool find_reasoning(std::string_view source, OutputFormat& format) {
    constexpr std::pair<std::string_view, std::string_view> kMarks[] = {
        {"<seed:think>", "</seed:think>"},
        {"<|START_THINKING|>", "<|END_THINKING|>"},
        {"[THINK]", "[/THINK]"},
        {"<mm:think>", "</mm:think>"},
        {"<|channel>thought", "<channel|>"},
        {"<|inner_prefix|>", "<|inner_suffix|>"},
        {"Here are my reasoning steps:", "[BEGIN FINAL RESPONSE]"},
        {"<think>", "</think>"},
        {"<thinking>", "</thinking>"},
        {"<thought>", "</thought>"},
        {"<reasoning>", "</reasoning>"}};
    for (const auto& [begin, end] : kMarks) {
        // A template that cuts thoughts off may name their end only.
        if (source.find(end) != source.npos) {
            format.reasoning_begin = begin;
            format.reasoning_end = end;
            if (end == "[BEGIN FINAL RESPONSE]") {
                format.content_end = "[END FINAL RESPONSE]";
            }
            return true;
        }
    }
    if (source.find("<think>") != source.npos) {
        format.reasoning_begin = "<think>";
        format.reasoning_end = "</think>";
        return true;
    }
    return false;
}

bool find_calls(std::string_view source, CallFormat& calls) {
    const auto has = [&](std::string_view text) {
        return source.find(text) != source.npos;
    };
    if (has("<｜DSML｜")) {
        calls =
            invokes(has("<｜DSML｜tool_calls>") ? "｜DSML｜tool_calls" : "｜DSML｜function_calls",
                    "｜DSML｜");
    } else if (has("<｜tool▁calls▁begin｜>")) {
        calls = deepseek(has("```json"));
    } else if (has("<|tool_calls_section_begin|>")) {
        calls = kimi();
    } else if (has("<minimax:tool_call>")) {
        calls = invokes("minimax:tool_call", "");
    } else if (has("<seed:tool_call>")) {
        calls = function_tags("<seed:tool_call>", "</seed:tool_call>");
        calls.value_padded = false;
    } else if (has("[TOOL_CALLS]")) {
        calls = mistral(source);
    } else if (has("<|START_ACTION|>")) {
        calls = json_between("<|START_ACTION|>", "<|END_ACTION|>");
    } else if (has("<|tool_call_start|>") || has("<|tool_list_start|>")) {
        calls = python_between("<|tool_call_start|>", "<|tool_call_end|>");
    } else if (has("<|tools_prefix|>")) {
        calls = json_between("<|tools_prefix|>", "<|tools_suffix|>");
        calls.name_is_key = true;
    } else if (has("<|tool_call>call:")) {
        calls = quoted("<|tool_call>call:", "<tool_call|>", "<|\"|>");
    } else if (has("<start_function_call>")) {
        calls = quoted("<start_function_call>call:", "<end_function_call>", "<escape>");
    } else if (has("<|tool|>") && has("<|/tool|>")) {
        calls = json_between("<|tool_call|>", "<|/tool_call|>");
    } else if (has("<|tool_call|>")) {
        calls = json_between("<|tool_call|>", "");
    } else if (has("<TOOLCALL>")) {
        calls = json_between("<TOOLCALL>", "</TOOLCALL>");
    } else if (has("<tool_call>")) {
        calls = tool_call_tags(source);
    } else if (has("<tool_calls>")) {
        calls = json_between("<tool_calls>", "</tool_calls>");
    } else if (has("<function_calls>")) {
        calls = python_between("<function_calls>", "</function_calls>");
    } else if (has("<|python_start|>")) {
        calls = python_between("<|python_start|>", "<|python_end|>");
        calls.bare = true;
    } else if (has("<function=")) {
        calls = named("<function=", ">", "</function>");
    } else if (has("functools[")) {
        calls = json_between("functools", "");
    } else {
        return false;
    }
    return true;
}

void add_variants(std::string_view source, CallFormat& calls) {
    const bool is_llama = calls.bare && calls.kind == Kind::Json && calls.section_begin.empty();
    if (is_llama && source.find("<|python_tag|>") != source.npos) {
        calls.section_begin = "<|python_tag|>";
    }
}

}  // namespace weir::text

// Who wrote which character: the marks survive what templates do to text.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "json/parse.h"
#include "text/jinja/template.h"

namespace weir::text::jinja {
namespace {

std::vector<Segment> render(std::string_view source, std::string_view context) {
    const auto compiled = Template::parse(source);
    EXPECT_TRUE(compiled) << source;
    RenderOptions options;
    options.trusted = {{"bos", {}}, {"messages.*.role", {"user", "assistant"}}};
    const auto rendered = compiled->render(*json::parse(context), options);
    EXPECT_TRUE(rendered) << source << rendered.error().message;
    return rendered ? rendered->segments : std::vector<Segment>{};
}

Segment ours(std::string text) {
    return {std::move(text), true};
}
Segment theirs(std::string text) {
    return {std::move(text), false};
}

TEST(Provenance, TK7_MarksSurviveOperatorsFiltersAndMethods) {
    struct Case {
        std::string_view source;
        std::vector<Segment> segments;
    };
    const std::vector<Case> cases = {
        {"<{{ x }}>", {ours("<"), theirs("ab"), ours(">")}},
        {"{{ '<' + x + '>' }}", {ours("<"), theirs("ab"), ours(">")}},
        {"{{ '<' ~ x ~ '>' }}", {ours("<"), theirs("ab"), ours(">")}},
        {"{{ '<%s>' % x }}", {ours("<"), theirs("ab"), ours(">")}},
        {"{{ '<{}>'.format(x) }}", {ours("<"), theirs("ab"), ours(">")}},
        {"{{ '<%s>'|format(x) }}", {ours("<"), theirs("ab"), ours(">")}},
        {"{{ ('<' ~ x ~ '>')[1:] }}", {theirs("ab"), ours(">")}},
        {"{{ ('<' ~ x ~ '>')[::-1] }}", {ours(">"), theirs("ba"), ours("<")}},
        {"{{ ('< ' ~ x ~ ' >')|trim }}", {ours("< "), theirs("ab"), ours(" >")}},
        {"{{ ('-' ~ x ~ '-').strip('-') }}", {theirs("ab")}},
        {"{{ [x, '|']|join('|') }}", {theirs("ab"), ours("||")}},
        {"{{ '|'.join([x, x]) }}", {theirs("ab"), ours("|"), theirs("ab")}},
        {"{{ x|replace('a', '<') }}", {ours("<"), theirs("b")}},
        {"{{ x.replace('b', '>') }}", {theirs("a"), ours(">")}},
        {"{{ ('<' ~ x ~ '>').split('a')|join('') }}", {ours("<"), theirs("b"), ours(">")}},
        {"{{ ('p' ~ x)|upper }}", {ours("P"), theirs("AB")}},
        {"{{ ('<' ~ x)|e }}", {theirs("&lt;ab")}},
        {"{{ ('p' ~ x) * 2 }}", {ours("p"), theirs("ab"), ours("p"), theirs("ab")}},
        {"{{ ('p' ~ x)|list|join }}", {ours("p"), theirs("ab")}},
        {"{% set y %}<{{ x }}>{% endset %}{{ y }}", {ours("<"), theirs("ab"), ours(">")}},
        {"{% macro m(v) %}<{{ v }}>{% endmacro %}{{ m(x) }}", {ours("<"), theirs("ab"), ours(">")}},
        {"{% filter trim %} {{ x }} {% endfilter %}", {theirs("ab")}},
        {"{{ '<a>'|tojson }}", {theirs("\"<a>\"")}},
        {"{{ ['<a>'] }}", {theirs("['<a>']")}},
        {"{{ 1 }}{{ true }}{{ none }}", {theirs("1TrueNone")}},
        {"{{ x|default('<') }}{{ y|default('<') }}", {theirs("ab"), ours("<")}},
        {"{{ bos }}{{ bos[:1] }}", {ours("<s><")}},
        {"{{ '<|' ~ messages[0].role ~ '|>' }}", {ours("<|user|>")}},
        {"{{ '<|' ~ messages[1].role ~ '|>' }}", {ours("<|"), theirs("root"), ours("|>")}},
        {"{{ '<' if x == 'ab' and 'a' in x }}", {ours("<")}},
        {"{% for k in {'<': 1} %}{{ k }}{% endfor %}", {ours("<")}},
        {"{% for k in d %}{{ k }}{% endfor %}", {theirs("k")}},
    };
    for (const Case& each : cases) {
        EXPECT_EQ(render(each.source, R"({"x": "ab", "bos": "<s>", "d": {"k": 1},
                         "messages": [{"role": "user"}, {"role": "root"}]})"),
                  each.segments)
            << each.source;
    }
}

// --- Real templates' shapes, with control tokens put into everything a client can send.

constexpr std::string_view kControl[] = {
    "<|im_start|>",    "<|im_end|>", "<|start_header_id|>", "<|eot_id|>", "[INST]",   "[/INST]",
    "[TOOL_CALLS]",    "<|start|>",  "<start_of_turn>",     "<|end|>",    "<|user|>", "<s>",
    "<|observation|>", "</s>",       "<end_of_turn>",       "<|call|>",   "[gMASK]"};

constexpr std::string_view kContexts[] = {
    R"({"messages": [{"role": "user", "content": "Hi"}], "add_generation_prompt": true})",
    R"({"messages": [{"role": "system", "content": " S\n"}, {"role": "user", "content": "a"},
        {"role": "assistant", "content": "<think>\nhm\n</think>\n\nb"},
        {"role": "user", "content": "c"}]})",
    R"({"messages": [{"role": "user", "content": [{"type": "text", "text": "one"},
        {"type": "text", "text": "two"}]}]})",
    R"({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "",
        "reasoning_content": "r", "tool_calls": [{"id": "call00001", "type": "function",
        "function": {"name": "f", "arguments": {"city": "Z", "n": [1, "x"]}}}]},
        {"role": "tool", "tool_call_id": "call00001", "name": "f", "content": "{}"}],
        "tools": [{"type": "function", "function": {"name": "f", "description": "About\nf",
        "parameters": {"type": "object", "properties": {"city": {"type": "string",
        "description": "d", "enum": ["p", "q"]}, "n": {"type": ["array", "null"]}},
        "required": ["city"]}}}], "add_generation_prompt": true, "enable_thinking": false,
        "date_string": "today"})",
};

// `value` with `extra` at the end of every string and member name that a client chooses. Names and
// values that templates compare with stay, or nothing would be rendered.
json::Value with_text(const json::Value& value, std::string_view extra, bool fixed) {
    if (const std::string* text = value.if_string()) {
        return fixed ? *text : *text + std::string(extra);
    }
    if (const json::Array* array = value.if_array()) {
        json::Array out;
        for (const json::Value& item : *array) {
            out.push_back(with_text(item, extra, fixed));
        }
        return out;
    }
    if (const json::Object* object = value.if_object()) {
        json::Object out;
        for (const auto& [name, member] : *object) {
            const bool chosen = name == "city" || name == "n";
            out.set(chosen ? name + std::string(extra) : name,
                    with_text(member, extra, name == "role" || name == "type"));
        }
        return out;
    }
    return value;
}

std::vector<size_t> count_control(const Rendered& rendered) {
    std::vector<size_t> counts;
    for (const std::string_view token : kControl) {
        size_t count = 0;
        for (const Segment& segment : rendered.segments) {
            for (size_t at = segment.text.find(token); segment.trusted && at != std::string::npos;
                 at = segment.text.find(token, at + 1)) {
                ++count;
            }
        }
        counts.push_back(count);
    }
    return counts;
}

TEST(Provenance, TK7_NoStringOfARequestBecomesAControlToken) {
    std::string hostile;
    for (const std::string_view token : kControl) {
        hostile += token;
    }
    RenderOptions options;
    options.trusted = {{"bos_token", {}}, {"eos_token", {}}};
    size_t compared = 0;
    for (const auto& file : std::filesystem::directory_iterator(WEIR_TEST_TEMPLATES)) {
        const auto compiled = Template::parse(*read_file(file.path(), size_t{1} << 20));
        ASSERT_TRUE(compiled) << file.path() << compiled.error().message;
        for (const std::string_view text : kContexts) {
            const auto render_with = [&](std::string_view extra) {
                json::Value context = with_text(*json::parse(text), extra, false);
                context.if_object()->set("bos_token", "<s>");
                context.if_object()->set("eos_token", "</s>");
                return compiled->render(context, options);
            };
            const auto harmless = render_with("harmless");
            const auto attacked = render_with(hostile);
            ASSERT_EQ(harmless.has_value(), attacked.has_value()) << file.path() << text;
            if (harmless) {
                ++compared;
                EXPECT_THAT(attacked->text(), testing::HasSubstr(hostile)) << file.path();
                EXPECT_EQ(count_control(*attacked), count_control(*harmless)) << file.path();
            }
        }
    }
    EXPECT_GE(compared, 20U);
}

}  // namespace
}  // namespace weir::text::jinja

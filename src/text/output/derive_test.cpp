#include "text/output/derive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "text/output/pieces.h"

namespace weir::text {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Arguments = CallFormat::Arguments;
using Kind = CallFormat::Kind;

// A template whose turns look like ChatML's, with this for a message's calls.
std::string template_with(std::string_view calls, std::string_view thought = "") {
    return std::string(
               "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}") +
           std::string(thought) + "{% endif %}{{ m.content }}{% if m.tool_calls %}" +
           std::string(calls) +
           "{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt "
           "%}<|im_start|>assistant\n"
           "{% endif %}";
}

OutputFormat derived(const std::string& source) {
    const auto compiled = jinja::Template::parse(source);
    EXPECT_TRUE(compiled) << source;
    return find_output_format(*compiled, source, {{"eos_token", "</s>"}});
}

CallFormat calls_of(std::string_view calls) {
    return derived(template_with(calls)).calls;
}

TEST(OutputFormat, JsonCallsAreFoundInWhatTheTemplateRenders) {
    const CallFormat calls = calls_of(
        "{% for c in m.tool_calls %}\n<call_it>\n{\"fn\": \"{{ c.function.name }}\", \"with\": "
        "{{ c.function.arguments | tojson }}}\n</call_it>{% endfor %}");
    EXPECT_EQ(calls.kind, Kind::Json);
    EXPECT_EQ(calls.section_begin, "<call_it>");
    EXPECT_EQ(calls.section_end, "</call_it>");
    EXPECT_EQ(calls.name_key, "fn");
    EXPECT_EQ(calls.arguments_key, "with");
    EXPECT_FALSE(calls.bare);

    const CallFormat list = calls_of(
        "[OF_TOOLS][{% for c in m.tool_calls %}{{ {c.function.name: c.function.arguments} | tojson "
        "}}{{ ', ' if not loop.last }}{% endfor %}]");
    EXPECT_EQ(list.section_begin, "[OF_TOOLS]");
    EXPECT_EQ(list.section_end, "");
    EXPECT_TRUE(list.name_is_key);

    EXPECT_TRUE(calls_of("{{ {'name': m.tool_calls[0].function.name, 'parameters': "
                         "m.tool_calls[0].function.arguments} | tojson }}")
                    .bare);
}

TEST(OutputFormat, NamedCallsAreCutIntoTheirMarkers) {
    const CallFormat calls = calls_of(
        "<calls>{% for c in m.tool_calls %}<one>{{ c.function.name }}<id>{{ c.id }}<args>"
        "{{ c.function.arguments | tojson }}</one>{% endfor %}</calls>");
    EXPECT_EQ(calls.kind, Kind::Named);
    EXPECT_EQ(calls.arguments, Arguments::Json);
    EXPECT_EQ(calls.section_begin, "<calls>");
    EXPECT_EQ(calls.section_end, "</calls>");
    EXPECT_EQ(calls.call_begin, "<one>");
    EXPECT_EQ(calls.call_end, "</one>");
    ASSERT_EQ(calls.fields.size(), 2u);
    EXPECT_EQ(calls.fields[0].end, "<id>");
    EXPECT_EQ(calls.fields[1].end, "<args>");

    const CallFormat indexed = calls_of(
        "<all>{% for c in m.tool_calls %}<one>functions.{{ c.function.name }}:{{ loop.index0 "
        "}}<args>"
        "{{ c.function.arguments | tojson }}</one>{% endfor %}</all>");
    EXPECT_TRUE(indexed.name_has_index);
    EXPECT_EQ(indexed.call_begin, "<one>");
    // Where the id is all that there is.
    EXPECT_TRUE(calls_of("<all>{% for c in m.tool_calls %}<one>{{ c.id }}<args>"
                         "{{ c.function.arguments | tojson }}</one>{% endfor %}</all>")
                    .name_has_index);
}

TEST(OutputFormat, ParametersInTagsAreCutIntoTheirMarkers) {
    const CallFormat calls = calls_of(
        "{% for c in m.tool_calls %}\n<t>\n<fn={{ c.function.name }}>\n{% for k, v in "
        "c.function.arguments | items %}<p={{ k }}>\n{{ v }}\n</p>\n{% endfor %}</fn>\n</t>"
        "{% endfor %}");
    EXPECT_EQ(calls.arguments, Arguments::Tagged);
    EXPECT_EQ(calls.section_begin, "<t>");
    EXPECT_EQ(calls.section_end, "</t>");
    EXPECT_EQ(calls.call_begin, "<fn=");
    EXPECT_EQ(calls.call_end, "</fn>");
    EXPECT_EQ(calls.parameter_begin, "<p=");
    EXPECT_EQ(calls.value_end, "</p>");
    EXPECT_TRUE(calls.value_padded);
    ASSERT_EQ(calls.key_ends.size(), 1u);
    EXPECT_EQ(calls.key_ends[0].type, CallFormat::KeyEnd::Type::BySchema);

    const CallFormat typed = calls_of(
        "<t>{% for c in m.tool_calls %}<fn n=\"{{ c.function.name }}\">{% for k, v in "
        "c.function.arguments | items %}<p n=\"{{ k }}\" s=\"{{ 'yes' if v is string else 'no' "
        "}}\">{{ v if v is string else v | tojson }}</p>{% endfor %}</fn>{% endfor %}</t>");
    EXPECT_FALSE(typed.value_padded);
    EXPECT_EQ(typed.section_begin, "<t>");
    EXPECT_EQ(typed.section_end, "</t>");
    ASSERT_EQ(typed.key_ends.size(), 2u);
    EXPECT_EQ(typed.key_ends[0].text, "\" s=\"yes\">");
    EXPECT_EQ(typed.key_ends[0].type, CallFormat::KeyEnd::Type::String);
    EXPECT_EQ(typed.key_ends[1].text, "\" s=\"no\">");
    EXPECT_EQ(typed.key_ends[1].type, CallFormat::KeyEnd::Type::Json);
}

TEST(OutputFormat, PythonCallsAreFound) {
    const CallFormat calls = calls_of(
        "<code>[{% for c in m.tool_calls %}{{ c.function.name }}({% for k, v in "
        "c.function.arguments | items %}{{ k }}={{ v | tojson }}{{ ', ' if not loop.last }}"
        "{% endfor %}){{ ', ' if not loop.last }}{% endfor %}]</code>");
    EXPECT_EQ(calls.arguments, Arguments::Python);
    EXPECT_EQ(calls.section_begin, "<code>");
    EXPECT_EQ(calls.section_end, "</code>");
}

TEST(OutputFormat, ThoughtsAndEndsAreFound) {
    const OutputFormat format = derived(template_with(
        "", "{% if m.reasoning_content %}<muse>{{ m.reasoning_content }}</muse>{% endif %}"));
    EXPECT_EQ(format.reasoning_begin, "<muse>");
    EXPECT_EQ(format.reasoning_end, "</muse>");
    EXPECT_THAT(format.ends, ElementsAre("<|im_end|>"));
}

TEST(OutputFormat, ThoughtsAreFoundUnderAnyOfTheirNames) {
    const OutputFormat format = derived(
        "{% for m in messages %}{% if m.reasoning %}<|a|><|hm|>{{ m.reasoning }}<|z|>{% endif %}"
        "<|{{ 'a' if m.role == 'assistant' else 'u' }}|><|says|>{{ m.content }}<|z|>{% endfor %}"
        "{% if add_generation_prompt %}<|a|>{% endif %}");
    EXPECT_EQ(format.reasoning_begin, "<|hm|>");
    EXPECT_EQ(format.reasoning_end, "<|z|><|a|>");
    EXPECT_EQ(format.content_begin, "<|says|>");
}

TEST(OutputFormat, ValuesMayBeMarkedAsRaw) {
    const CallFormat calls = calls_of(
        "{% for c in m.tool_calls %}<do n=\"{{ c.function.name }}\">{% for k, v in "
        "c.function.arguments.items() %}<p n=\"{{ k }}\">{% if '<' in v|string %}<![CDATA[{{ v "
        "}}]]>"
        "{% else %}{{ v }}{% endif %}</p>{% endfor %}</do>{% endfor %}");
    ASSERT_EQ(calls.arguments, Arguments::Tagged);
    ASSERT_EQ(calls.key_ends.size(), 2u);
    EXPECT_EQ(calls.key_ends[1].text, "\"><![CDATA[");
}

// What ends a value must be a fixed text to be looked for.
TEST(OutputFormat, TagsNamedAfterTheKeyAreNotTakenForMarkers) {
    const CallFormat calls = calls_of(
        "{% for c in m.tool_calls %}<do n=\"{{ c.function.name }}\">{% for k, v in "
        "c.function.arguments.items() %}<{{ k }}>{{ v }}</{{ k }}>{% endfor %}</do>{% endfor %}");
    EXPECT_EQ(calls.kind, Kind::None);
}

// A template that renders no calls may still tell its model how to write them.
TEST(OutputFormat, WhatTheTemplateDoesNotRenderItsSourceMaySay) {
    const OutputFormat format =
        derived(template_with("") + "{% if tools %}Answer in <tool_call></tool_call>.{% endif %}");
    EXPECT_EQ(format.calls.kind, Kind::Json);
    EXPECT_EQ(format.calls.section_begin, "<tool_call>");
}

TEST(OutputFormat, ATemplateWithoutAnyIsPlain) {
    EXPECT_TRUE(derived(template_with("")).is_plain());
    EXPECT_TRUE(derived("{{ messages[0].content }}").is_plain());
    EXPECT_TRUE(derived("{{ raise_exception('no') }}").is_plain());
    EXPECT_TRUE(derived("").is_plain());
}

TEST(Pieces, EndWhereTagsDo) {
    const std::string text = "</a>\n<b c[D]e";
    const Pieces pieces(text);
    ASSERT_EQ(pieces.size(), 5u);
    EXPECT_EQ(pieces[0], "</a>");
    EXPECT_EQ(pieces[1], "<b");
    EXPECT_EQ(pieces[4], "e");
    EXPECT_EQ(pieces.text(0, 2), "</a>\n<b");
    EXPECT_EQ(common_prefix(Pieces("<a><b>"), Pieces("<a> <c>")), 1u);
    EXPECT_EQ(common_suffix(Pieces("<x_begin><b>"), Pieces("<x_end><b>")), 1u);
    EXPECT_THAT(Pieces(" ").text(0, 0), IsEmpty());
}

}  // namespace
}  // namespace weir::text

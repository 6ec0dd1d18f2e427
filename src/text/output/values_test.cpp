// How values that are no JSON become JSON.

#include <gtest/gtest.h>

#include <string>

#include "json/parse.h"
#include "text/output/json_text.h"
#include "text/output/literal.h"
#include "text/output/marker.h"
#include "text/output/types.h"

namespace weir::text {
namespace {

using Style = LiteralToJson::Style;
using Status = LiteralToJson::Status;

std::string converted(Style style, std::string_view text, std::string_view quote = {}) {
    LiteralToJson literal(style, quote);
    std::string out;
    for (const char c : text) {
        switch (literal.feed(c, out)) {
            case Status::More:
                break;
            case Status::Done:
                return out;
            case Status::Fail:
                return "fails after " + out;
        }
    }
    return literal.finish(out) ? out : "unfinished " + out;
}

TEST(LiteralToJson, ReadsPython) {
    const std::pair<std::string_view, std::string_view> cases[] = {
        {"'a'", R"("a")"},
        {R"("it's")", R"("it's")"},
        {R"('\'\"\n\t\\')", R"("'\"\n\t\\")"},
        {R"('\x41\u00e9\U0001F642')", R"("Aé🙂")"},
        {R"('\ud83d\ude42')", R"("🙂")"},
        {R"('\q')", R"("\\q")"},
        {"r'a'", R"("a")"},
        {"'''a'b''c'''", R"("a'b''c")"},
        {"''", R"("")"},
        {"True", "true"},
        {"None", "null"},
        {"1_000", "1000"},
        {"+.5", "0.5"},
        {"-5.", "-5.0"},
        {"1e5", "1e5"},
        {"word", R"("word")"},
        {"[]", "[]"},
        {"[1, 'a',]", R"([1, "a"])"},
        {"(1, (2,))", "[1, [2]]"},
        {"{'a': {'b': [True]}, \"c\": None}", R"({"a": {"b": [true]}, "c": null})"},
        {"{}", "{}"}};
    for (const auto& [python, json] : cases) {
        EXPECT_EQ(converted(Style::Value, python), json) << python;
    }
    for (const std::string_view broken :
         {"[1", "{'a' 1}", "[1 2]", "'a' 'b'", ")", "{1: }", "'a"}) {
        EXPECT_FALSE(json::parse(converted(Style::Value, broken))) << broken;
    }
}

TEST(LiteralToJson, ReadsArgumentsUpToTheirEnd) {
    EXPECT_EQ(converted(Style::Arguments, "a=\"x)\", b=[1, {'k': 2}])"),
              R"j({"a": "x)", "b": [1, {"k": 2}]})j");
    EXPECT_EQ(converted(Style::Arguments, ")"), "{}");
    EXPECT_EQ(
        converted(Style::Quoted, "a:<|\"|>x <| y<|\"|>,b:{c:true,d:[<|\"|><|\"|>]}}", "<|\"|>"),
        R"({"a": "x <| y", "b": {"c": true, "d": [""]}})");
}

TEST(LiteralToJson, StopsAtItsLimits) {
    EXPECT_TRUE(converted(Style::Value, std::string(1000, '[')).starts_with("fails"));
    EXPECT_TRUE(converted(Style::Value, std::string(5000, 'w')).starts_with("fails"));
}

JsonType types_of(std::string_view schema) {
    chat::Tool tool;
    tool.name = "f";
    tool.parameters =
        fmt::format(R"({{"properties": {{"p": {}}}, "$defs": {{"s": {{"type": "string"}},
        "loop": {{"$ref": "#/$defs/loop"}}, "n": {{"type": ["number", "null"]}}}}}})",
                    schema);
    return ToolTypes({tool}).type_of("f", "p");
}

TEST(ToolTypes, FollowTheSchema) {
    const auto string_or_null = JsonType::String | JsonType::Null;
    EXPECT_EQ(types_of(R"({"type": "string"})"), JsonType::String);
    EXPECT_EQ(types_of(R"({"type": ["string", "null"]})"), string_or_null);
    EXPECT_EQ(types_of(R"({"anyOf": [{"$ref": "#/$defs/s"}, {"type": "null"}]})"), string_or_null);
    EXPECT_EQ(types_of(R"({"allOf": [{"$ref": "#/$defs/n"}, {"type": "number"}]})"),
              JsonType::Number);
    EXPECT_EQ(types_of(R"({"enum": ["a", "b"]})"), JsonType::String);
    EXPECT_EQ(types_of(R"({"const": true})"), JsonType::Boolean);
    EXPECT_EQ(types_of("{}"), JsonType::Any);
    EXPECT_EQ(types_of(R"({"$ref": "#/$defs/loop"})"), JsonType::Any);  // and it ends
    EXPECT_EQ(types_of(R"({"$ref": "https://example.com/x"})"), JsonType::Any);
    EXPECT_EQ(ToolTypes().type_of("nobody", "p"), JsonType::Any);
}

TEST(ToolTypes, KnowEveryParameterOfALargeTool) {
    std::string properties;
    for (int i = 0; i < 10'000; ++i) {
        properties += "\"p" + std::to_string(i) + R"(": {"type": "string"}, )";
    }
    // One that refers to itself many times takes nothing from those behind it.
    std::string many = R"({"$ref": "#/properties/many"})";
    for (int i = 0; i < 8; ++i) {
        many += R"(, {"$ref": "#/properties/many"})";
    }
    const ToolTypes types(
        {chat::Tool{.name = "f",
                    .description = {},
                    .parameters = R"({"properties": {)" + properties + R"("many": {"anyOf": [)" +
                                  many + R"(]}, "last": {"$ref": "#/properties/p0"}}})",
                    .strict = {}}});
    EXPECT_EQ(types.type_of("f", "p9999"), JsonType::String);
    EXPECT_EQ(types.type_of("f", "many"), JsonType::Any);
    EXPECT_EQ(types.type_of("f", "last"), JsonType::String);
}

TEST(Coerce, AStringStaysOneWhereItMayBeOne) {
    const auto optional = JsonType::String | JsonType::Null;
    EXPECT_EQ(coerce("true", JsonType::String), R"("true")");
    EXPECT_EQ(coerce("null", optional), "null");
    EXPECT_EQ(coerce("5", optional), R"("5")");
    EXPECT_EQ(coerce(R"(["a"])", JsonType::String | JsonType::Array), R"(["a"])");
    EXPECT_EQ(coerce("[a", JsonType::String | JsonType::Array), R"("[a")");
    EXPECT_EQ(coerce("5", JsonType::Integer), "5");
    EXPECT_EQ(coerce("five", JsonType::Integer), R"("five")");
    EXPECT_EQ(coerce("TRUE", JsonType::Boolean), "true");
    EXPECT_EQ(coerce("", JsonType::Integer), R"("")");
}

TEST(JsonNumber, IsWhatTheGrammarSays) {
    for (const std::string_view yes : {"0", "-0", "10", "1.5", "1e5", "1E-5", "-1.25e+10"}) {
        EXPECT_TRUE(is_json_number(yes)) << yes;
    }
    for (const std::string_view no : {"", "-", "01", "1.", ".5", "1e", "+1", "1a", "NaN"}) {
        EXPECT_FALSE(is_json_number(no)) << no;
    }
}

TEST(JsonStringDecoder, DecodesEscapes) {
    JsonStringDecoder decoder;
    std::string out;
    for (const char c : std::string_view(R"(a\n\"\u00e9\ud83d\ude42\ud83dx\u12)")) {
        EXPECT_FALSE(decoder.feed(c, out));
    }
    EXPECT_TRUE(decoder.feed('"', out));
    EXPECT_EQ(out, "a\n\"é🙂\xEF\xBF\xBDxu12");
}

TEST(Marker, TakesWhiteSpaceLoosely) {
    using State = Marker::State;
    const Marker marker("\n<a>\n<b=");
    EXPECT_EQ(marker.match("<a><b=x").consumed, 6u);
    EXPECT_EQ(marker.match("<a> \n <b=").consumed, 9u);
    EXPECT_EQ(marker.match("<a> \n").state, State::Partial);
    EXPECT_EQ(marker.match("<a> x").state, State::No);
    EXPECT_EQ(marker.match("<a>" + std::string(Marker::kGapBytesMax + 1, ' ')).state, State::No);
    const Marker ahead("</v>", "</f>");
    EXPECT_EQ(ahead.match("</v>\n</f>").consumed, 4u);
    EXPECT_EQ(ahead.match("</v>x").state, State::No);
    EXPECT_TRUE(ahead.match("</v>\n").consumed_whole);
    EXPECT_EQ(Marker("\n").match("\n").state, State::Yes);
}

}  // namespace
}  // namespace weir::text

#include "text/output/parser.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "text/output/known.h"

namespace weir::text {
namespace {

using ::testing::ElementsAre;
using End = OutputParser::End;

std::vector<chat::Tool> tools() {
    chat::Tool write;
    write.name = "write";
    write.parameters = R"({"type": "object", "properties": {
        "path": {"type": "string"}, "lines": {"type": "integer"}, "ok": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}}, "options": {"type": "object"}}})";
    chat::Tool ping;
    ping.name = "ping";
    return {write, ping};
}

// One answer as lines: "text …", "thought …", "write({…})". A call's id follows its name.
std::vector<std::string> lines_of(const std::vector<OutputPiece>& pieces) {
    using Kind = OutputPiece::Kind;
    std::vector<std::string> lines;
    Kind last = Kind::Call;
    for (const OutputPiece& piece : pieces) {
        const bool goes_on = !lines.empty() && piece.kind == last && piece.kind != Kind::Call;
        switch (piece.kind) {
            case Kind::Text:
                goes_on ? lines.back() += piece.text : lines.emplace_back("text " + piece.text);
                break;
            case Kind::Reasoning:
                goes_on ? lines.back() += piece.text : lines.emplace_back("thought " + piece.text);
                break;
            case Kind::Call:
                lines.emplace_back(piece.text + (piece.id.empty() ? "" : " " + piece.id) + " ");
                break;
            case Kind::Arguments:
                lines.back() += piece.text;
                break;
        }
        last = piece.kind;
    }
    return lines;
}

struct Reader {
    OutputFormat format;
    std::string tail;
    bool finds_calls = true;
    bool ends_at_markers = false;

    std::vector<OutputPiece> pieces(const std::vector<std::string_view>& chunks,
                                    End end = End::Whole) const {
        OutputParser parser(
            std::make_shared<const OutputFormat>(format),
            std::make_shared<const ToolTypes>(tools()),
            {.finds_calls = finds_calls, .ends_at_markers = ends_at_markers, .prompt_tail = tail});
        std::vector<OutputPiece> all;
        for (const std::string_view chunk : chunks) {
            parser.push(chunk, all);
        }
        parser.finish(end, all);
        return all;
    }
    std::vector<std::string> read(std::string_view output, End end = End::Whole) const {
        return lines_of(pieces({output}, end));
    }
    // The same, with every place to cut once, and cut everywhere.
    std::vector<std::string> read_cut(std::string_view output) const {
        const auto whole = read(output);
        std::vector<std::string_view> bytes;
        for (size_t cut = 0; cut < output.size(); ++cut) {
            EXPECT_EQ(lines_of(pieces({output.substr(0, cut), output.substr(cut)})), whole)
                << "cut at " << cut << " of " << output;
            bytes.push_back(output.substr(cut, 1));
        }
        EXPECT_EQ(lines_of(pieces(bytes)), whole) << output;
        return whole;
    }
};

// The format of a template whose source says this.
Reader reader_of(std::string_view source) {
    Reader reader;
    if (!find_whole_format(source, reader.format)) {
        find_reasoning(source, reader.format);
        EXPECT_TRUE(find_calls(source, reader.format.calls)) << source;
    }
    return reader;
}

Reader bare_json() {
    Reader reader;
    reader.format.calls.kind = CallFormat::Kind::Json;
    reader.format.calls.bare = true;
    reader.format.calls.section_begin = "<|python_tag|>";
    return reader;
}

constexpr std::string_view kWrite = R"(write {"path": "é \"q\"", "lines": 3})";
constexpr std::string_view kArguments = R"({"path": "é \"q\"", "lines": 3})";

// What each family writes for the same message: a thought, a text, a call of `write` and one of
// `ping`.
TEST(OutputParser, ReadsEveryFamilyWhereverItIsCut) {
    struct Case {
        std::string_view source;
        std::string output;
        std::vector<std::string> lines;
    };
    const std::string a(kArguments);
    const std::string write(kWrite);
    const std::vector<Case> cases = {
        {"<|open|><|close|><|sep|> argument response",
         "<|open|>think<|sep|>Hm.<|close|>think<|sep|><|open|>response<|sep|>Ok.<|close|>response"
         "<|sep|><|open|>tools<|sep|><|open|>call tool=\"write\" "
         "index=\"1\"<|sep|><|open|>argument "
         "key=\"path\" type=\"string\"<|sep|>é \"q\"<|close|>argument<|sep|><|open|>argument "
         "key=\"lines\" type=\"number\"<|sep|>3<|close|>argument<|sep|><|close|>call<|sep|><|open|>"
         "call tool=\"ping\" index=\"2\"<|sep|><|close|>call<|sep|><|close|>tools<|sep|>",
         {"thought Hm.", "text Ok.", write, "ping {}"}},
        {"<think></think><tool_call>",
         "<think>\nHm.\n</think>\n\nOk.\n<tool_call>\n{\"name\": \"write\", \"arguments\": " + a +
             "}\n</tool_call>\n<tool_call>\n{\"name\": \"ping\"}\n</tool_call>",
         {"thought Hm.", "text Ok.", write, "ping {}"}},
        {"</think><tool_call><function=",
         "<think>Hm.</think>Ok.\n\n<tool_call>\n<function=write>\n<parameter=path>\né \"q\"\n"
         "</parameter>\n<parameter=lines>\n3\n</parameter>\n</function>\n</tool_call>\n"
         "<tool_call>\n<function=ping>\n</function>\n</tool_call>",
         {"thought Hm.", "text Ok.", write, "ping {}"}},
        {"</think><tool_call><arg_key>",
         "\n<think>Hm.</think>\nOk.\n<tool_call>write\n<arg_key>path</arg_key>\n<arg_value>é \"q\""
         "</arg_value>\n<arg_key>lines</arg_key>\n<arg_value>3</arg_value>\n</tool_call>\n"
         "<tool_call>ping\n</tool_call>",
         {"thought Hm.", "text Ok.", write, "ping {}"}},
        {"</think><tool_call><arg_key>",
         "<tool_call>write<arg_key>path</arg_key><arg_value>é \"q\"</arg_value><arg_key>lines"
         "</arg_key><arg_value>3</arg_value></tool_call><tool_call>ping</tool_call>",
         {write, "ping {}"}},
        {"<seed:tool_call></seed:think>",
         "<seed:think>Hm.</seed:think>\nOk.\n<seed:tool_call>\n<function=write>\n<parameter=path>"
         "é \"q\"</parameter>\n<parameter=lines>3</parameter>\n</function>\n</seed:tool_call>",
         {"thought Hm.", "text Ok.", write}},
        {"<minimax:tool_call></think>",
         "Hm.</think>\n\nOk.\n<minimax:tool_call>\n<invoke name=\"write\">\n<parameter "
         "name=\"path\">é \"q\"</parameter>\n<parameter name=\"lines\">3</parameter>\n</invoke>\n"
         "<invoke name=\"ping\">\n</invoke>\n</minimax:tool_call>",
         {"text Hm.</think>\n\nOk.", write, "ping {}"}},
        {"<｜DSML｜function_calls>",
         "Ok.\n\n<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"write\">\n<｜DSML｜parameter "
         "name=\"path\" string=\"true\">é \"q\"</｜DSML｜parameter>\n<｜DSML｜parameter "
         "name=\"lines\" string=\"false\">3</｜DSML｜parameter>\n</｜DSML｜invoke>\n"
         "</｜DSML｜function_calls>",
         {"text Ok.", write}},
        {"[TOOL_CALLS]",
         "[TOOL_CALLS][{\"name\": \"write\", \"arguments\": " + a +
             ", \"id\": \"a\"}, {\"name\": \"ping\", \"arguments\": {}, \"id\": \"b\"}]",
         {write, "ping {}"}},
        {"[TOOL_CALLS][ARGS][/THINK]",
         "[THINK]Hm.[/THINK]Ok.[TOOL_CALLS]write[CALL_ID]abcdefghi[ARGS]" + a +
             "[TOOL_CALLS]ping[ARGS]{}",
         {"thought Hm.", "text Ok.", "write abcdefghi " + a, "ping {}"}},
        {"<｜tool▁calls▁begin｜>```json</think>",
         "<think>\nHm.\n</think>\n\nOk.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function"
         "<｜tool▁sep｜>write\n```json\n" +
             a +
             "\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>"
             "function<｜tool▁sep｜>ping\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
         {"thought Hm.", "text Ok.", write, "ping {}"}},
        {"<｜tool▁calls▁begin｜></think>",
         "</think>Ok.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>write<｜tool▁sep｜>" + a +
             "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
         {"text Ok.", write}},
        {"<|tool_calls_section_begin|>",
         "Ok.<|tool_calls_section_begin|><|tool_call_begin|>functions.write:0"
         "<|tool_call_argument_begin|>" +
             a +
             "<|tool_call_end|><|tool_call_begin|>"
             "functions.ping:1<|tool_call_argument_begin|>{}<|tool_call_end|>"
             "<|tool_calls_section_end|>",
         {"text Ok.", "write functions.write:0 " + a, "ping functions.ping:1 {}"}},
        {"<|START_ACTION|><|END_THINKING|>",
         "<|START_THINKING|>Hm.<|END_THINKING|><|START_ACTION|>[\n    {\"tool_call_id\": \"0\", "
         "\"tool_name\": \"write\", \"parameters\": " +
             a +
             "},\n    {\"tool_call_id\": \"1\", "
             "\"tool_name\": \"ping\", \"parameters\": {}}\n]<|END_ACTION|>",
         {"thought Hm.", write, "ping {}"}},
        {"<|tools_prefix|>",
         "Ok.<|tools_prefix|>[{\"write\": " + a +
             "}, {\"ping\": {}}]"
             "<|tools_suffix|>",
         {"text Ok.", write, "ping {}"}},
        {"<|tool_list_start|>",
         "<|tool_call_start|>[write(path=\"é \\\"q\\\"\", lines=3), ping()]<|tool_call_end|>Ok.",
         {write, "ping {}", "text Ok."}},
        {"<|python_start|>", "[write(path='é \"q\"', lines=3), ping()]", {write, "ping {}"}},
        {"<|tool_call>call:<channel|>",
         "<|channel>thought\nHm.\n<channel|><|tool_call>call:write{path:<|\"|>é \"q\"<|\"|>,"
         "lines:3}<tool_call|><|tool_call>call:ping{}<tool_call|>Ok.",
         {"thought Hm.", write, "ping {}", "text Ok."}},
        {"<|start|><|channel|><|message|>",
         "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary"
         "<|message|>Ok.<|end|><|start|>assistant<|channel|>commentary to=functions.write "
         "<|constrain|>json<|message|>" +
             a + "<|call|>",
         {"thought Hm.", "text Ok.", write}},
        {"<|start|><|channel|><|message|>",
         " to=functions.write<|channel|>commentary json<|message|>" + a + "<|call|>",
         {write}},
        {"<function=",
         "Ok.<function=write>" + a + "</function><function=ping>{}</function>",
         {"text Ok.", write, "ping {}"}},
        {">>>all", ">>>all\nOk.\n>>>write\n" + a + ">>>ping\n{}", {"text Ok.", write, "ping {}"}},
    };
    for (const Case& one : cases) {
        EXPECT_EQ(reader_of(one.source).read_cut(one.output), one.lines) << one.output;
    }
}

TEST(OutputParser, ACallMayStandWithoutMarkersAtTheBeginningOnly) {
    const Reader reader = bare_json();
    const std::string call =
        "{\"name\": \"write\", \"parameters\": " + std::string(kArguments) + "}";
    EXPECT_THAT(reader.read_cut(call), ElementsAre(kWrite));
    EXPECT_THAT(reader.read_cut("\n" + call + "; {\"name\": \"ping\", \"parameters\": {}}"),
                ElementsAre(kWrite, "ping {}"));
    EXPECT_THAT(reader.read_cut("<|python_tag|>" + call), ElementsAre(kWrite));
    EXPECT_THAT(reader.read_cut("Text. " + call), ElementsAre("text Text. " + call));
    for (const std::string json :
         {R"({"name": "nobody", "parameters": {}})", R"({"name": "write"})", R"({"answer": 42})",
          "[1, 2]", "{", "{}"}) {
        EXPECT_THAT(reader.read_cut(json), ElementsAre("text " + json));
    }
}

TEST(OutputParser, ArgumentsPassAsTheyAreWritten) {
    const Reader reader = reader_of("<tool_call>");
    const std::string odd =
        "{ \"a\" :1e400,\"b\":[ 12345678901234567890123 ],\"a\":\"\\u00e9\\/\" }";
    EXPECT_THAT(
        reader.read_cut("<tool_call>{\"name\":\"ping\",\"arguments\":" + odd + "}</tool_call>"),
        ElementsAre("ping " + odd));
    // Inside a string they are what the string says.
    EXPECT_THAT(
        reader.read_cut(R"(<tool_call>{"name":"ping","arguments":"{\"a\": \"\u00e9\\n\"}"})"),
        ElementsAre(R"(ping {"a": "é\n"})"));
    // Before the name they wait for it.
    EXPECT_THAT(
        reader.read_cut(R"(<tool_call>{"arguments": {"a": [1]}, "name": "ping"}</tool_call>)"),
        ElementsAre(R"(ping {"a": [1]})"));
}

TEST(OutputParser, AnObjectWithoutANameOrAValueIsNoCall) {
    for (const std::string_view object :
         {R"({"arguments": {"a": 1}, "function": [1]})",
          R"({"arguments": {"a": 1}, "function": 5})",
          R"({"arguments": {"a": 1}, "function": {"function": {}}})",
          R"({"name": "write", "arguments":, "arguments": {"a": 1}})",
          R"({"name": "write", "arguments":})"}) {
        const std::string text = "<tool_call>" + std::string(object) + "</tool_call>";
        const auto pieces = reader_of("<tool_call>").pieces({text});
        ASSERT_EQ(pieces.size(), 1u) << object;
        EXPECT_EQ(pieces[0].kind, OutputPiece::Kind::Text);
        EXPECT_EQ(pieces[0].text, text);
    }
}

TEST(OutputParser, AMarkerInsideAnArgumentIsPartOfIt) {
    constexpr std::string_view kText =
        "a </tool_call> b </parameter> c [TOOL_CALLS] </arg_value> d";
    const std::string text(kText);
    EXPECT_THAT(reader_of("<tool_call><function=")
                    .read_cut("<tool_call><function=write><parameter=path>" + text +
                              "</parameter></function></tool_call>"),
                ElementsAre("write {\"path\": \"" + text + "\"}"));
    EXPECT_THAT(reader_of("<tool_call><arg_key>")
                    .read_cut("<tool_call>write<arg_key>path</arg_key><arg_value>" + text +
                              "</arg_value></tool_call>"),
                ElementsAre("write {\"path\": \"" + text + "\"}"));
    EXPECT_THAT(reader_of("[TOOL_CALLS][ARGS]")
                    .read_cut("[TOOL_CALLS]write[ARGS]{\"path\": \"" + text + "\"}"),
                ElementsAre("write {\"path\": \"" + text + "\"}"));
}

TEST(OutputParser, RawMarksAroundAValueAreNoPartOfIt) {
    Reader reader = reader_of("<tool_call><function=");
    CallFormat& calls = reader.format.calls;
    calls.key_ends.push_back({calls.key_ends.front().text + std::string(CallFormat::kRawBegin)});
    EXPECT_THAT(reader.read_cut("<tool_call><function=write><parameter=path><![CDATA[a<b>]]>]]>"
                                "</parameter><parameter=options>{\"a\": 1}</parameter></function>"
                                "</tool_call>"),
                ElementsAre(R"(write {"path": "a<b>]]>", "options": {"a": 1}})"));
    EXPECT_THAT(reader.read_cut("<tool_call><function=write><parameter=path>a]]></parameter>"
                                "</function></tool_call>"),
                ElementsAre(R"(write {"path": "a]]>"})"));
}

// Formats without quotes: what a value is, the tool's schema says.
TEST(OutputParser, ValuesFollowTheSchema) {
    const Reader reader = reader_of("<tool_call><function=");
    const auto call = [&](std::string_view name, std::string_view value) {
        return reader
            .read_cut(fmt::format("<tool_call><function=write><parameter={}>\n{}\n</parameter>"
                                  "</function></tool_call>",
                                  name, value))
            .at(0);
    };
    EXPECT_EQ(call("path", "true"), R"(write {"path": "true"})");
    EXPECT_EQ(call("path", "3"), R"(write {"path": "3"})");
    EXPECT_EQ(call("path", ""), R"(write {"path": ""})");
    EXPECT_EQ(call("path", "\n a\n\n"), R"(write {"path": "\n a\n\n"})");
    EXPECT_EQ(call("lines", "12345678901234567890123"),
              R"(write {"lines": 12345678901234567890123})");
    EXPECT_EQ(call("lines", "2026-01-15"), R"(write {"lines": "2026-01-15"})");  // not lost
    EXPECT_EQ(call("ok", "True"), R"(write {"ok": true})");
    EXPECT_EQ(call("tags", "['a', 'b,\"c\"']"), R"(write {"tags": ["a", "b,\"c\""]})");
    EXPECT_EQ(call("tags", R"(["a"])"), R"(write {"tags": ["a"]})");
    EXPECT_EQ(call("options", "{'a': None, 'b': (1, 2.5)}"),
              R"(write {"options": {"a": null, "b": [1, 2.5]}})");
    EXPECT_EQ(call("unknown", "7"), R"(write {"unknown": 7})");
    EXPECT_EQ(call("unknown", "seven"), R"(write {"unknown": "seven"})");
}

TEST(OutputParser, ThePromptMayHaveBegunAThought) {
    Reader reader = reader_of("</think><tool_call>");
    reader.tail = "<|im_start|>assistant\n<think>\n";
    EXPECT_THAT(reader.read_cut("\nHm.\n</think>\n\nOk."), ElementsAre("thought Hm.", "text Ok."));
    EXPECT_THAT(reader.read("Hm."), ElementsAre("thought Hm."));
    reader.tail = "<think>\n\n</think>\n\n";
    EXPECT_THAT(reader.read("Hm."), ElementsAre("text Hm."));

    Reader harmony = reader_of("<|start|><|channel|><|message|>");
    harmony.tail = "<|start|>assistant<|channel|>analysis<|message|>";
    EXPECT_THAT(harmony.read_cut("Hm.<|end|><|start|>assistant<|channel|>final<|message|>Ok."),
                ElementsAre("thought Hm.", "text Ok."));
}

TEST(OutputParser, ThePromptMayHaveBegunAHeader) {
    Reader reader = reader_of("<|start|><|channel|><|message|>");
    reader.tail = "<|end|><|start|>assistant<|channel|>";
    EXPECT_THAT(reader.read_cut("analysis<|message|>Hm.<|end|>"), ElementsAre("thought Hm."));
    EXPECT_THAT(reader.read_cut("anal"), ElementsAre());
    // No header is so long: what the model has said is text, and what the prompt says is not.
    const std::string text(300, 'a');
    const auto pieces = reader.pieces({text});
    ASSERT_EQ(pieces.size(), 1u);
    EXPECT_EQ(pieces[0].text, text);
    EXPECT_EQ(pieces[0].source, 0u);
}

TEST(OutputParser, ATextMaySpeakOfMarkers) {
    const Reader reader = reader_of("</think><tool_call>");
    for (const std::string_view text :
         {"Use <think> and </think>.", "<tool_call>", "<tool_call> is a tag", "a <tool_call>\n{}",
          "<tool_call><tool_call>x", "x <tool_call>{\"name\": 1}</tool_call> y", "<tool",
          "a\n\n"}) {
        EXPECT_THAT(reader.read_cut(text), ElementsAre("text " + std::string(text)));
    }
    Reader no_tools = reader;
    no_tools.finds_calls = false;
    constexpr std::string_view kCall = "<tool_call>{\"name\": \"ping\"}</tool_call>";
    EXPECT_THAT(no_tools.read_cut(kCall), ElementsAre("text " + std::string(kCall)));
}

TEST(OutputParser, WhatWasCutOffIsNotMadeWhole) {
    const Reader tagged = reader_of("<tool_call><function=");
    constexpr std::string_view kHalf = "<tool_call><function=write><parameter=path>half";
    for (const End end : {End::Cut, End::Whole}) {
        EXPECT_THAT(tagged.read(kHalf, end), ElementsAre(R"(write {"path": "half)"));
        EXPECT_THAT(tagged.read("<tool_call><function=write><parameter=lines>\n12", end),
                    ElementsAre(R"(write {"lines": 12)"));
        EXPECT_THAT(
            reader_of("<tool_call>").read(R"(<tool_call>{"name": "ping", "arguments": {"a)", end),
            ElementsAre(R"(ping {"a)"));
    }
    // A value is over where nothing but the format's end was left out.
    EXPECT_THAT(tagged.read(std::string(kHalf) + "\n</parameter>"),
                ElementsAre(R"(write {"path": "half"})"));
}

TEST(OutputParser, SaysWhetherEveryCallCameToItsEnd) {
    struct Case {
        std::string_view source;
        std::string_view output;
        bool whole;
    };
    for (const Case& one : {
             Case{"<tool_call>", R"(<tool_call>{"name": "ping", "arguments": {"a": 1)", false},
             Case{"<tool_call>", R"(<tool_call>{"name": "ping", "arguments": "{\"a)", false},
             Case{"<tool_call>", R"(<tool_call>{"name": "ping", "arguments": 1)", false},
             Case{"<tool_call>", R"(<tool_call>{"name": "ping", "arguments": {"a": 1})", true},
             Case{"<tool_call>", R"(<tool_call>{"name": "ping", "arguments": {}})", true},
             Case{"<tool_call>", R"(<tool_call>{"name": "ping", "arguments": {}} and)", true},
             Case{"<tool_call><function=", "<tool_call><function=write><parameter=path>a", false},
             Case{"<tool_call><function=", "<tool_call><function=write><parameter=pa", false},
             Case{"<tool_call><function=", "<tool_call><function=write>", true},
             Case{"<tool_call><arg_key>",
                  "<tool_call>write<arg_key>path</arg_key><arg_value>a</arg_value>", true},
             Case{"[TOOL_CALLS][ARGS]", "[TOOL_CALLS]ping[ARGS]{}[TOOL_CALLS]ping[ARGS]{", false},
             Case{"[TOOL_CALLS][ARGS]", "[TOOL_CALLS]ping[ARGS]", true},
             Case{"<|tool_list_start|>", "<|tool_call_start|>[write(path=\"a", false},
             Case{"<|tool_list_start|>", "<|tool_call_start|>[write(path=\"a\")", true},
             // A call that breaks off in the middle of an answer.
             Case{"<|tool_list_start|>", "<|tool_call_start|>[write(path=\"a\"]] Ok.", false},
             Case{"<|start|><|channel|><|message|>", "to=functions.ping<|message|>{\"a", false},
             Case{"<|start|><|channel|><|message|>", "to=functions.ping<|message|>{}", true},
             Case{"<tool_call>", "No call.", true},
         }) {
        OutputParser parser(std::make_shared<const OutputFormat>(reader_of(one.source).format),
                            std::make_shared<const ToolTypes>(tools()), {});
        std::vector<OutputPiece> pieces;
        parser.push(one.output, pieces);
        parser.finish(End::Whole, pieces);
        EXPECT_EQ(parser.calls_are_whole(), one.whole) << one.output;
    }
}

TEST(OutputParser, ACallOfAFunctionThatWasNotOfferedIsText) {
    for (const auto& [source, output] : std::vector<std::pair<std::string_view, std::string>>{
             {"<tool_call>",
              "<tool_call>\n{\"name\": \"rm\", \"arguments\": {\"a\": [1]}}\n</tool_call>"},
             {"<tool_call>",
              "<tool_call>{\"arguments\": {\"a\": 1}, \"name\": \"rm\"}</tool_call>"},
             {"<tool_call><function=",
              "<tool_call>\n<function=rm>\n<parameter=a>\n1\n</parameter>\n</function>\n</"
              "tool_call>"},
             {"<tool_call><arg_key>",
              "<tool_call>rm<arg_key>a</arg_key><arg_value>1</arg_value></tool_call>"},
             {"[TOOL_CALLS][ARGS]", "[TOOL_CALLS]rm[ARGS]{\"a\": 1}"},
             {"<|tool_list_start|>", "<|tool_call_start|>[rm(a=1)]<|tool_call_end|>"},
             {"<|tool_call>call:<channel|>", "<|tool_call>call:rm{a:1}<tool_call|>"},
             {"<|start|><|channel|><|message|>",
              "<|channel|>commentary to=functions.rm <|constrain|>json<|message|>{\"a\": 1}"},
         }) {
        EXPECT_THAT(reader_of(source).read_cut(output), ElementsAre("text " + output));
    }
    // The calls beside it are calls, and what stands before is what it was.
    EXPECT_THAT(reader_of("<tool_call>")
                    .read_cut("Ok.\n<tool_call>{\"name\": \"rm\"}</tool_call>\n"
                              "<tool_call>{\"name\": \"ping\"}</tool_call>"),
                ElementsAre("text Ok.\n<tool_call>{\"name\": \"rm\"}</tool_call>", "ping {}"));
    // A tool of gpt-oss's own that is used while it thinks is a thought.
    EXPECT_THAT(reader_of("<|start|><|channel|><|message|>")
                    .read_cut("<|channel|>analysis to=python code<|message|>1+1<|call|>"),
                ElementsAre("thought <|channel|>analysis to=python code<|message|>1+1"));
}

TEST(OutputParser, ACallWithoutArgumentsHasNone) {
    EXPECT_THAT(reader_of("[TOOL_CALLS][ARGS]").read_cut("[TOOL_CALLS]ping[ARGS]"),
                ElementsAre("ping {}"));
    EXPECT_THAT(
        reader_of("[TOOL_CALLS][ARGS]").read_cut("[TOOL_CALLS]ping[ARGS][TOOL_CALLS]ping[ARGS] "),
        ElementsAre("ping {}", "ping {}"));
    EXPECT_THAT(reader_of("<|start|><|channel|><|message|>")
                    .read_cut("<|channel|>commentary to=functions.ping<|message|><|call|>"),
                ElementsAre("ping {}"));
}

TEST(OutputParser, ATurnEndsAtItsMarkerWhereThatIsAsked) {
    Reader reader = reader_of("<tool_call>");
    reader.format.ends = {"<|im_end|>"};
    reader.ends_at_markers = true;
    EXPECT_THAT(reader.read_cut("Ok.<|im_end|>\nmore"), ElementsAre("text Ok."));
    EXPECT_THAT(reader.read_cut("<tool_call>{\"name\":\"ping\"}</tool_call><|im_end|>"),
                ElementsAre("ping {}"));
    reader.ends_at_markers = false;
    EXPECT_THAT(reader.read_cut("Ok.<|im_end|>"), ElementsAre("text Ok.<|im_end|>"));
}

TEST(OutputParser, TextSaysWhereItStood) {
    const auto pieces =
        reader_of("</think><tool_call>").pieces({"<think>Hm.</think>\n\nOk", ". So"});
    ASSERT_EQ(pieces.size(), 2u);
    EXPECT_EQ(pieces[1].text, "Ok. So");
    EXPECT_EQ(pieces[1].source, 20u);
}

TEST(OutputParser, NamesOfCallsHoldNoMarkers) {
    for (const std::string_view name : {"f<|channel|>x", "", "a b", "f\"", "{f}"}) {
        const std::string text = "<function=" + std::string(name) + ">{}</function>";
        const auto lines = reader_of("<function=").read_cut(text);
        EXPECT_TRUE(lines.empty() || lines[0].starts_with("text <function=")) << lines[0];
    }
}

// A model, or who speaks through it, may say anything: everything comes back, none of it twice, and
// what is held is bounded.
TEST(OutputParser, HostileOutputComesBackWhole) {
    constexpr size_t kBytes = 300'000;
    for (const std::string_view source :
         {"</think><tool_call>", "<tool_call><function=", "<tool_call><arg_key>",
          "[TOOL_CALLS][ARGS]", "<|tool_list_start|>", "<｜tool▁calls▁begin｜>",
          "<|tool_call>call:"}) {
        const Reader reader = reader_of(source);
        const CallFormat& calls = reader.format.calls;
        const std::string begin =
            calls.section_begin.empty() ? calls.call_begin : calls.section_begin;
        for (const std::string& part :
             {begin, begin.substr(0, begin.size() - 1), begin + "[{", begin + "{\"name\"",
              std::string("<"), std::string("["), std::string("</"), begin + " \n"}) {
            std::string text = "x";
            while (text.size() < kBytes) {
                text += part;
            }
            text += "!";
            const auto lines = reader.read(text);
            ASSERT_EQ(lines.size(), 1u) << source << part;
            EXPECT_EQ(lines[0].size(), 5 + text.size()) << source << part;
        }
    }
}

TEST(OutputParser, DeepArgumentsTakeNoStack) {
    const std::string deep = std::string(500'000, '[') + std::string(500'000, ']');
    EXPECT_THAT(
        reader_of("<tool_call>").read("<tool_call>{\"name\":\"ping\",\"arguments\":" + deep + "}"),
        ElementsAre("ping " + deep));
    // Python's and Gemma's are rewritten, and stop at their limit.
    const auto lines = reader_of("<|tool_list_start|>").read("<|tool_call_start|>[ping(a=" + deep);
    EXPECT_EQ(lines[0], "ping {\"a\": " + std::string(LiteralToJson::kDepthMax - 1, '['));
}

}  // namespace
}  // namespace weir::text

#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "cli/exam_commands.h"
#include "cli/json_lines.h"
#include "json/parse.h"
#include "json/write.h"
#include "text/jinja/template.h"
#include "text/output/derive.h"
#include "text/output/parser.h"

namespace weir::cli {
namespace {

constexpr size_t kTemplateBytesMax = size_t{1} << 20;

// One answer, put together again.
struct Message {
    std::string content;
    std::string reasoning;
    struct Call {
        std::string name;
        std::string arguments;
    };
    std::vector<Call> calls;

    void add(std::vector<text::OutputPiece>& pieces) {
        using Kind = text::OutputPiece::Kind;
        for (text::OutputPiece& piece : pieces) {
            switch (piece.kind) {
                case Kind::Text:
                    content += piece.text;
                    break;
                case Kind::Reasoning:
                    reasoning += piece.text;
                    break;
                case Kind::Call:
                    calls.push_back({std::move(piece.text), {}});
                    break;
                case Kind::Arguments:
                    if (piece.call < calls.size()) {
                        calls[piece.call].arguments += piece.text;
                    }
                    break;
            }
        }
        pieces.clear();
    }
};

Result<std::vector<chat::Tool>> read_tools(json::Fields& fields) {
    std::vector<chat::Tool> tools;
    WEIR_TRY_ASSIGN(const json::Array* entries, fields.array("tools"));
    if (entries == nullptr) {
        return tools;
    }
    for (const json::Value& entry : *entries) {
        WEIR_TRY_ASSIGN(json::Fields tool, json::Fields::of(entry, "tools"));
        const json::Value* nested = tool.get("function");
        WEIR_TRY_ASSIGN(json::Fields function,
                        json::Fields::of(nested == nullptr ? entry : *nested, "tools"));
        chat::Tool made;
        WEIR_TRY_ASSIGN(made.name, function.require_string("name"));
        if (const json::Value* parameters = function.get("parameters")) {
            made.parameters = json::to_text(*parameters);
        }
        tools.push_back(std::move(made));
    }
    return tools;
}

std::string message_json(const Message& message) {
    std::string out;
    json::Writer writer(out);
    writer.begin_object().member("content", message.content).key("reasoning_content");
    if (message.reasoning.empty()) {
        writer.null();
    } else {
        writer.value(message.reasoning);
    }
    writer.key("tool_calls").begin_array();
    for (const Message::Call& call : message.calls) {
        writer.begin_object().member("name", call.name).key("arguments");
        // What is no JSON is shown as the text that it is.
        if (const auto parsed = json::parse(call.arguments)) {
            writer.value(*parsed);
        } else {
            writer.value(call.arguments);
        }
        writer.end_object();
    }
    writer.end_array().end_object();
    return out;
}

Result<std::string> parse_line(const std::shared_ptr<const text::OutputFormat>& format,
                               json::Fields& fields) {
    std::string tail;
    WEIR_TRY(fields.read("prompt_tail", tail));
    WEIR_TRY_ASSIGN(const std::vector<chat::Tool> tools, read_tools(fields));
    WEIR_TRY_ASSIGN(const json::Array* chunks, fields.require_array("chunks"));
    text::OutputParser parser(format, std::make_shared<const text::ToolTypes>(tools),
                              {.ends_at_markers = true, .prompt_tail = tail});
    Message message;
    std::vector<text::OutputPiece> pieces;
    for (const json::Value& chunk : *chunks) {
        const std::string* text = chunk.if_string();
        if (text == nullptr) {
            return invalid_argument("chunks", "chunks must hold strings");
        }
        parser.push(*text, pieces);
        message.add(pieces);
    }
    parser.finish(text::OutputParser::End::Whole, pieces);
    message.add(pieces);
    if (format->text_of_calls_is_reasoning && !message.calls.empty() && message.content.empty()) {
        std::swap(message.content, message.reasoning);
    }
    return message_json(message);
}

}  // namespace

Result<void> parse_output(const ModelAccess& access, const std::string& file) {
    WEIR_TRY_ASSIGN(const std::string source, access.read_text(file, kTemplateBytesMax));
    WEIR_TRY_ASSIGN(const auto compiled,
                    text::jinja::Template::parse(source, text::jinja::Mode::Lenient));
    // A template file says nothing of the model's special tokens: the usual ones.
    const auto format = std::make_shared<const text::OutputFormat>(text::find_output_format(
        compiled, source, {{"bos_token", "<|startoftext|>"}, {"eos_token", "<|endoftext|>"}}));
    return answer_lines(std::cin, std::cout,
                        [&](json::Fields& fields) { return parse_line(format, fields); });
}

}  // namespace weir::cli

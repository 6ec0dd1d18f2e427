// What a model says, read as a message. The first byte chooses how it is written, the second where
// it is cut; what is read must not depend on the cuts, text must be what stands there, and
// arguments must belong to the call before them.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "text/output/known.h"
#include "text/output/parser.h"

namespace {

using weir::text::CallFormat;
using weir::text::OutputFormat;
using weir::text::OutputParser;
using weir::text::OutputPiece;

std::vector<std::shared_ptr<const OutputFormat>> make_formats() {
    std::vector<std::shared_ptr<const OutputFormat>> all;
    for (const char* source :
         {"<tool_call><think></think>", "<tool_call><function=", "<tool_call><arg_key></think>",
          "<seed:tool_call></seed:think>", "[TOOL_CALLS][ARGS][/THINK]", "[TOOL_CALLS]",
          "<｜tool▁calls▁begin｜>```json</think>", "<|tool_calls_section_begin|>",
          "<minimax:tool_call>", "<｜DSML｜", "<|START_ACTION|><|END_THINKING|>",
          "<|tool_call_start|>", "<|tools_prefix|><|inner_suffix|>", "<|tool_call>call:<channel|>",
          "<|start|><|channel|><|message|>", ">>>all", "<|python_start|>"}) {
        auto format = std::make_shared<OutputFormat>();
        if (!find_whole_format(source, *format)) {
            find_reasoning(source, *format);
            find_calls(source, format->calls);
        }
        format->ends = {"<|im_end|>"};
        all.push_back(std::move(format));
    }
    auto bare = std::make_shared<OutputFormat>();
    bare->calls.kind = CallFormat::Kind::Json;
    bare->calls.bare = true;
    bare->calls.section_begin = "<|python_tag|>";
    all.push_back(std::move(bare));
    return all;
}

// Neighbours of one kind put together.
std::vector<OutputPiece> joined(const std::vector<OutputPiece>& pieces) {
    std::vector<OutputPiece> all;
    for (const OutputPiece& piece : pieces) {
        const bool goes_on =
            !all.empty() && all.back().kind == piece.kind && piece.kind != OutputPiece::Kind::Call;
        if (goes_on) {
            all.back().text += piece.text;
        } else {
            all.push_back(piece);
        }
    }
    return all;
}

// Begins a part in every format that a prompt can begin.
constexpr std::string_view kPromptTail = "<|start|>assistant<|channel|><think>\n>>>";

void check(const std::vector<OutputPiece>& pieces, std::string_view text) {
    using Kind = OutputPiece::Kind;
    uint32_t calls = 0;
    bool follows_call = false;
    for (const OutputPiece& piece : pieces) {
        const bool is_right =
            piece.kind == Kind::Call        ? piece.call == calls
            : piece.kind == Kind::Arguments ? follows_call && piece.call + 1 == calls
            : piece.kind == Kind::Text
                ? piece.source <= text.size() && text.substr(piece.source).starts_with(piece.text)
                : true;
        if (!is_right) {
            std::abort();
        }
        calls += piece.kind == Kind::Call ? 1 : 0;
        follows_call = piece.kind == Kind::Call || piece.kind == Kind::Arguments;
    }
}

std::vector<OutputPiece> parse(const std::shared_ptr<const OutputFormat>& format,
                               std::string_view text, size_t seed) {
    static const auto types = std::make_shared<const weir::text::ToolTypes>(
        std::vector<weir::chat::Tool>{{.name = "f",
                                       .description = {},
                                       .parameters = R"({"properties": {"a": {"type": "string"},
                                           "b": {"type": ["array", "null"]},
                                           "c": {"$ref": "#/properties/c"}}})",
                                       .strict = {}}});
    OutputParser parser(
        format, types,
        {.ends_at_markers = (seed & 1) != 0, .prompt_tail = (seed & 2) != 0 ? kPromptTail : ""});
    std::vector<OutputPiece> pieces;
    const size_t step = seed >> 2;  // 0: at once
    for (size_t at = 0; at < text.size(); at += step == 0 ? text.size() : step) {
        parser.push(text.substr(at, step == 0 ? text.npos : step), pieces);
    }
    parser.finish(OutputParser::End::Whole, pieces);
    check(pieces, text);
    return joined(pieces);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const auto formats = make_formats();
    if (size < 2) {
        return 0;
    }
    const auto& format = formats[data[0] % formats.size()];
    const std::string_view text(reinterpret_cast<const char*>(data + 2), size - 2);
    const size_t seed = data[1];
    if (parse(format, text, seed & 3) != parse(format, text, seed)) {
        std::abort();
    }
    return 0;
}

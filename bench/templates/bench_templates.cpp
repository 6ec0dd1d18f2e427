// How long chat templates take to make a prompt, and how fast what models say is read.
//
//   bench_templates TEMPLATE.jinja …
//
// Each renders the same conversation of 50 messages: questions, answers, every third with a call
// and its result (left out where a template refuses them), one tool. Then 1 MB of text with a call
// at its end is read in pieces of four bytes, as tokens come. Every figure is the best of nine
// rounds: what disturbs a round only ever makes it slower.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "text/chat_template.h"
#include "text/output/parser.h"

namespace weir::text {
namespace {

double seconds_of(const std::function<void()>& body) {
    using Clock = std::chrono::steady_clock;
    double best = 1e9;
    for (int round = 0; round < 9; ++round) {
        const auto begin = Clock::now();
        int calls = 0;
        double elapsed = 0;
        do {
            body();
            ++calls;
            elapsed = std::chrono::duration<double>(Clock::now() - begin).count();
        } while (elapsed < 0.05);
        best = std::min(best, elapsed / calls);
    }
    return best;
}

chat::Message message(chat::Role role, std::string text) {
    chat::Message made;
    made.role = role;
    made.content = {{chat::ContentPart::Kind::Text, std::move(text)}};
    return made;
}

chat::Conversation conversation(bool with_tools) {
    chat::Conversation made;
    for (int turn = 0; made.messages.size() < 50; ++turn) {
        made.messages.push_back(message(
            chat::Role::User,
            fmt::format("Question {}: what will the weather be in Rome and in Oslo?", turn)));
        if (with_tools && turn % 3 == 0) {
            chat::Message call = message(chat::Role::Assistant, "");
            call.tool_calls = {{.id = fmt::format("call{:05}", turn),
                                .name = "get_weather",
                                .arguments = R"({"city": "Rome", "days": 3})"}};
            made.messages.push_back(std::move(call));
            chat::Message result =
                message(chat::Role::Tool, R"({"sky": "clear", "degrees": 21.5})");
            result.tool_call_id = fmt::format("call{:05}", turn);
            made.messages.push_back(std::move(result));
        }
        made.messages.push_back(message(
            chat::Role::Assistant, "It will be clear, with a light wind from the north-west."));
    }
    made.messages.resize(49);
    made.messages.push_back(message(chat::Role::User, "And tomorrow?"));
    if (with_tools) {
        chat::Tool tool;
        tool.name = "get_weather";
        tool.description = "The weather of a place";
        tool.parameters = R"({"type": "object", "properties": {"city": {"type": "string",
            "description": "where"}, "days": {"type": "integer", "description": "how long"}},
            "required": ["city"]})";
        made.tools = {std::move(tool)};
    }
    return made;
}

double parse_megabytes_per_second(const ChatTemplate& chat) {
    std::string text;
    while (text.size() < 1'000'000) {
        text += "Plain text with a < sign, a [ bracket and a { brace in it.\n\n";
    }
    text += chat.output_format()->calls.section_begin + chat.output_format()->calls.call_begin;
    const auto types = std::make_shared<const ToolTypes>();
    const double seconds = seconds_of([&] {
        OutputParser parser(chat.output_format(), types, {});
        std::vector<OutputPiece> pieces;
        for (size_t at = 0; at < text.size(); at += 4) {
            parser.push(std::string_view(text).substr(at, 4), pieces);
            pieces.clear();
        }
        parser.finish(OutputParser::End::Whole, pieces);
    });
    return static_cast<double>(text.size()) / 1e6 / seconds;
}

int measure(const char* file) {
    std::ostringstream source;
    source << std::ifstream(file).rdbuf();
    const auto chat =
        ChatTemplate::create(source.str(), {{"bos_token", "<s>"}, {"eos_token", "</s>"}});
    if (!chat) {
        fmt::print("{}: {}\n", file, chat.error().message);
        return 1;
    }
    const auto render = [&](bool with_tools) {
        return chat->render(conversation(with_tools), ChatTemplate::GenerationPrompt::Yes, {});
    };
    const bool with_tools = render(true).has_value();
    const auto rendered = render(with_tools);
    if (!rendered) {
        fmt::print("{}: {}\n", file, rendered.error().message);
        return 1;
    }
    const chat::Conversation asked = conversation(with_tools);
    const double seconds =
        seconds_of([&] { (void)chat->render(asked, ChatTemplate::GenerationPrompt::Yes, {}); });
    fmt::print("{:>7.0f} us  {:>6} bytes{}  parse {:>5.0f} MB/s  {}\n", seconds * 1e6,
               rendered->text().size(), with_tools ? " with tools" : "           ",
               parse_megabytes_per_second(*chat), file);
    return 0;
}

}  // namespace
}  // namespace weir::text

int main(int argc, char** argv) {
    int failed = 0;
    for (int i = 1; i < argc; ++i) {
        failed |= weir::text::measure(argv[i]);
    }
    return failed;
}

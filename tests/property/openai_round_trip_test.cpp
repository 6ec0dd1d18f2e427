// What the api room reads and what the providers room writes are inverse to each other: a gateway
// and its workers speak through them.

#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <random>
#include <span>

#include "api/errors.h"
#include "api/openai_chat.h"
#include "api/openai_reply.h"
#include "providers/openai/codec.h"
#include "providers/openai/encode.h"

namespace weir {
namespace {

using chat::ChatRequest;
using providers::OpenAiDialect;

template <typename T>
std::string describe(const std::optional<T>& value) {
    return value ? fmt::format("{}", *value) : "-";
}

std::string describe(const chat::Message& m) {
    std::string out =
        fmt::format("{} {} {} {} {}:", chat::name(m.role), m.content_was_array, describe(m.name),
                    describe(m.reasoning), describe(m.tool_call_id));
    for (const auto& part : m.content) {
        out += fmt::format(" ({} {})", static_cast<int>(part.kind), part.text);
    }
    for (const auto& call : m.tool_calls) {
        out += fmt::format(" <{} {} {}>", call.id, call.name, call.arguments);
    }
    return out + "\n";
}

std::string describe(const chat::Conversation& c) {
    std::string out;
    for (const auto& message : c.messages) {
        out += describe(message);
    }
    for (const auto& t : c.tools) {
        out += fmt::format("tool {} {} {} {}\n", t.name, describe(t.description),
                           describe(t.parameters), describe(t.strict));
    }
    if (c.tool_choice) {
        out += fmt::format("choice {} {}\n", static_cast<int>(c.tool_choice->mode),
                           c.tool_choice->name);
    }
    out += fmt::format("{} {}", describe(c.parallel_tool_calls), describe(c.reasoning_effort));
    return out + fmt::format(" {}\n", c.template_variables);
}

std::string describe(const chat::RawPrompts& raw) {
    std::string out = fmt::format("echo {}", raw.echo);
    for (const auto& prompt : raw.prompts) {
        std::visit([&](const auto& p) { out += fmt::format(" {}", p); }, prompt);
    }
    return out + "\n";
}

std::string describe(const chat::SamplingParams& s) {
    return fmt::format("{} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {}\n", describe(s.temperature),
                       describe(s.top_p), describe(s.top_k), describe(s.min_p),
                       s.repetition_penalty, s.presence_penalty, s.frequency_penalty, s.logit_bias,
                       s.stop, s.stop_token_ids, s.ignore_eos, describe(s.seed),
                       describe(s.tokens_max), s.choices, describe(s.best_of),
                       describe(s.logprobs));
}

std::string describe(const ChatRequest& r) {
    std::string out = fmt::format("{} stream {}\n", r.model, r.stream);
    std::visit([&](const auto& input) { out += describe(input); }, r.input);
    out += describe(r.sampling);
    if (const auto& f = r.response_format) {
        out += fmt::format("format {} {} {} {} {}\n", static_cast<int>(f->kind), f->name,
                           describe(f->description), describe(f->schema), describe(f->strict));
    }
    return out + fmt::format("{}\n", r.passed_on);
}

class Random {
  public:
    explicit Random(uint32_t seed) : engine_(seed) {}
    uint32_t below(uint32_t bound) { return static_cast<uint32_t>(engine_() % bound); }
    bool chance(uint32_t of = 2) { return below(of) == 0; }
    float between(float low, float high) {
        return low + (high - low) * static_cast<float>(below(1u << 24)) * 0x1p-24f;
    }
    std::string text() {
        constexpr std::string_view kPieces[] = {"a",  "é", "😀",    "\"", "\\",
                                                "\n", " ", "<|x|>", "{"};
        std::string out;
        for (uint32_t i = below(6); i > 0; --i) {
            out += kPieces[below(std::size(kPieces))];
        }
        return out;
    }

  private:
    std::mt19937 engine_;
};

chat::Message random_message(Random& random) {
    chat::Message message;
    message.role = static_cast<chat::Role>(random.below(5));
    message.content_was_array = random.chance();
    const uint32_t parts = message.content_was_array ? 1 + random.below(3) : 1;
    for (uint32_t i = 0; i < parts; ++i) {
        message.content.push_back({.text = random.text()});
    }
    if (message.role == chat::Role::User && message.content_was_array && random.chance()) {
        message.content.push_back({chat::ContentPart::Kind::Image,
                                   R"({"type":"image_url","image_url":{"url":"data:"}})"});
    }
    if (message.role == chat::Role::Assistant) {
        if (random.chance()) {
            message.reasoning = random.text();
        }
        if (random.chance(3)) {
            message.content.push_back({chat::ContentPart::Kind::Refusal, random.text()});
        }
        if (random.chance()) {
            message.tool_calls.push_back({"c1", "f", random.text()});
        }
    }
    if (message.role == chat::Role::Tool) {
        message.tool_call_id = "c1";
    }
    if (random.chance(3)) {
        message.name = "bob";
    }
    return message;
}

chat::Conversation random_conversation(Random& random) {
    chat::Conversation conversation;
    for (uint32_t i = 1 + random.below(4); i > 0; --i) {
        conversation.messages.push_back(random_message(random));
    }
    if (random.chance()) {
        conversation.tools.push_back({"f", random.text(), R"({"type":"object"})", true});
        conversation.tools.push_back({.name = "g"});
        const auto mode = static_cast<chat::ToolChoice::Mode>(random.below(4));
        conversation.tool_choice = {mode, mode == chat::ToolChoice::Mode::Named ? "g" : ""};
        conversation.parallel_tool_calls = random.chance();
    }
    if (random.chance()) {
        conversation.reasoning_effort = "xhigh";
        conversation.template_variables = {{"enable_thinking", "false"}, {"thinking_budget", "5"}};
    }
    return conversation;
}

void set_random_sampling(Random& random, chat::SamplingParams& sampling) {
    const auto maybe = [&](float low, float high) {
        return random.chance() ? std::optional(random.between(low, high)) : std::nullopt;
    };
    sampling.temperature = maybe(0, 2);
    sampling.top_p = maybe(0, 1);
    sampling.min_p = maybe(0, 1);
    sampling.repetition_penalty = maybe(0.1f, 10).value_or(1.0f);
    sampling.presence_penalty = maybe(-2, 2).value_or(0.0f);
    sampling.frequency_penalty = maybe(-2, 2).value_or(0.0f);
    for (uint32_t i = random.below(4); i > 0; --i) {
        sampling.top_k = random.below(100);
        sampling.logit_bias.emplace_back(i, random.between(-100, 100));
        sampling.stop.push_back("s" + random.text());
        sampling.stop_token_ids.push_back(random.below(0x7FFF'FFFF));
        sampling.seed = (uint64_t{random.below(0xFFFF'FFFF)} << 32) + i;
    }
    sampling.ignore_eos = random.chance();
    sampling.tokens_max = 1 + random.below(0x7FFF'FFFF);
    sampling.choices = 1 + random.below(20);
    if (random.chance()) {
        sampling.logprobs = random.below(21);
    }
}

ChatRequest random_request(Random& random) {
    ChatRequest request;
    request.id = "id";
    request.model = "m" + random.text();
    request.stream = random.chance();
    set_random_sampling(random, request.sampling);
    request.passed_on = {{"user", "\"u\""}};
    if (random.chance(3)) {
        chat::RawPrompts raw{.prompts = {random.text()}, .echo = random.chance()};
        if (random.chance()) {
            raw.prompts = {std::vector<TokenId>{1, 2}, std::vector<TokenId>{0x7FFF'FFFF}};
        }
        request.input = std::move(raw);
        if (!request.stream && random.chance()) {
            request.sampling.best_of = 20;
        }
        return request;
    }
    request.input = random_conversation(random);
    if (random.chance()) {
        request.response_format = chat::ResponseFormat{chat::ResponseFormat::Kind::JsonSchema, "n",
                                                       random.text(), R"({"a":1.5})", false};
    }
    return request;
}

TEST(OpenAiRoundTrip, AWorkerReadsTheRequestThatTheGatewayRead) {
    Random random(1);
    for (int i = 0; i < 2000; ++i) {
        const ChatRequest request = random_request(random);
        const auto call = providers::encode_openai(
            request, {.dialect = OpenAiDialect::worker(), .model = request.model});
        ASSERT_TRUE(call) << call.error().message;
        const auto again = call->path == "/v1/completions"
                               ? api::parse_completion_request(call->body, {})
                               : api::parse_chat_request(call->body, {});
        ASSERT_TRUE(again) << again.error().message << "\n" << call->body;
        EXPECT_EQ(describe(*again), describe(request)) << call->body;
        EXPECT_EQ(again->include_usage, request.stream);
    }
}

class Collecting final : public chat::ChatSink {
  public:
    void on_event(chat::ChatEvent event) override { events.push_back(std::move(event)); }
    std::vector<chat::ChatEvent> events;
};

// An answer in random pieces, complete and in order.
std::vector<chat::ChatEvent> random_answer(Random& random, const ChatRequest& request) {
    const bool chat = std::holds_alternative<chat::Conversation>(request.input);
    std::vector<chat::ChatEvent> events = {chat::Started{request.model, "fp"}};
    for (uint32_t choice = 0; choice < chat::choice_count(request); ++choice) {
        for (uint32_t i = random.below(4); i > 0; --i) {
            if (chat && random.chance()) {
                events.emplace_back(chat::ReasoningDelta{choice, "r" + random.text()});
            }
            chat::TextDelta delta{choice, "t" + random.text(), {}};
            if (request.sampling.logprobs) {
                delta.logprobs = {{"\xC3", -random.between(0, 9), {}}, {"t", -0.1f, {}}};
            }
            events.emplace_back(std::move(delta));
        }
        if (chat && random.chance()) {
            events.emplace_back(chat::ToolCallDelta{choice, 0, "c1", "f", ""});
            events.emplace_back(chat::ToolCallDelta{choice, 0, "", "", random.text() + "x"});
            events.emplace_back(chat::ToolCallDelta{choice, 1, "c2", "g", "{}"});
        }
        events.emplace_back(chat::ChoiceFinished{choice, chat::FinishReason::Length});
    }
    events.emplace_back(chat::Finished{chat::Usage{9, 8, 7, 6}});
    return events;
}

std::string whole_reply(const ChatRequest& request, std::span<const chat::ChatEvent> events) {
    api::ReplyCollector collector(chat::choice_count(request));
    for (const chat::ChatEvent& event : events) {
        const auto added = collector.add(event);
        if (!added) {
            return added.error().message;
        }
    }
    EXPECT_TRUE(collector.complete());
    return api::reply_json(request, {.id = "id", .model = request.model}, collector.reply());
}

// What a worker writes, read by the gateway and put together again.
TEST(OpenAiRoundTrip, StreamsAndBodiesBringTheSameAnswerThrough) {
    Random random(2);
    for (int i = 0; i < 300; ++i) {
        ChatRequest request = random_request(random);
        request.sampling.choices = 1 + random.below(3);
        request.stream = request.include_usage = true;
        const auto events = random_answer(random, request);
        const std::string expected = whole_reply(request, events);

        const auto writer = api::make_stream_writer(request, {.id = "id", .model = request.model});
        std::string stream;
        for (const chat::ChatEvent& event : events) {
            writer->append(event, stream);
        }
        providers::OpenAiCodec streamed(request, {.dialect = OpenAiDialect::worker()});
        Collecting pieces;
        for (size_t at = 0; at < stream.size();) {
            const size_t piece = 1 + random.below(200);
            ASSERT_TRUE(streamed.decode_chunk(std::string_view(stream).substr(at, piece), pieces));
            at += piece;
        }
        ASSERT_TRUE(streamed.end_of_stream());
        EXPECT_EQ(whole_reply(request, pieces.events), expected);

        providers::OpenAiCodec whole(request, {.dialect = OpenAiDialect::worker()});
        Collecting all;
        const auto decoded = whole.decode_body(expected, all);
        ASSERT_TRUE(decoded) << decoded.error().message;
        EXPECT_EQ(whole_reply(request, all.events), expected);
    }
}

TEST(OpenAiRoundTrip, AWorkersErrorKeepsItsStatusFieldAndReason) {
    for (int i = 0; i <= static_cast<int>(ErrorCode::Internal); ++i) {
        const Error error =
            make_error(static_cast<ErrorCode>(i), "m").with_field("f").with_reason("r");
        const int status = api::http_status(error.code);
        const Error answered = providers::decode_error_answer(
            providers::ErrorSource::Worker, status, {}, api::error_body(error), {});
        EXPECT_EQ(api::http_status(answered.code), status);
        EXPECT_EQ(answered.message, "m");
        EXPECT_EQ(answered.field, "f");
        EXPECT_EQ(answered.reason, "r");

        std::string stream;
        api::append_error_event(stream, error);
        ChatRequest request;
        providers::OpenAiCodec codec(request, {.dialect = OpenAiDialect::worker()});
        Collecting sink;
        const auto streamed = codec.decode_chunk(stream, sink);
        ASSERT_FALSE(streamed);
        EXPECT_EQ(api::http_status(streamed.error().code), status);
        EXPECT_EQ(streamed.error().reason, "r");
    }
}

}  // namespace
}  // namespace weir

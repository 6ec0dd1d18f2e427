#include "api/openai_chat.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

namespace weir::api {
namespace {

using chat::ChatRequest;
using chat::Conversation;

constexpr std::string_view kMessages = R"("model":"m","messages":[{"role":"user","content":"hi"}])";

std::string body_with(std::string_view members) {
    return fmt::format("{{{}{}{}}}", kMessages, members.empty() ? "" : ",", members);
}

Result<ChatRequest> parse_with(std::string_view members) {
    return parse_chat_request(body_with(members), {});
}

// The path of the field at fault, or "" if the request is accepted.
std::string refused_field(std::string_view members) {
    const auto request = parse_with(members);
    return request ? "" : request.error().field;
}

const Conversation& conversation(const ChatRequest& request) {
    return std::get<Conversation>(request.input);
}

enum class Fate { Honoured, Harmless, Refused, Unknown };

struct Row {
    std::string_view field;
    std::string_view value;
    Fate fate;
};

// One row for every property of CreateChatCompletionRequest, and for the extensions.
constexpr Row kFields[] = {
    {"audio", R"({"voice":"ash","format":"wav"})", Fate::Refused},
    {"frequency_penalty", "0.5", Fate::Honoured},
    {"function_call", R"("auto")", Fate::Refused},
    {"functions", R"([{"name":"f"}])", Fate::Refused},
    {"logit_bias", R"({"5":1})", Fate::Honoured},
    {"logprobs", "true", Fate::Honoured},
    {"max_completion_tokens", "5", Fate::Honoured},
    {"max_tokens", "5", Fate::Honoured},
    {"metadata", R"({"a":"b"})", Fate::Harmless},
    {"modalities", R"(["text"])", Fate::Harmless},
    {"moderation", R"({"model":"m"})", Fate::Refused},
    {"n", "2", Fate::Honoured},
    {"parallel_tool_calls", "false", Fate::Honoured},
    {"prediction", R"({"type":"content","content":"x"})", Fate::Refused},
    {"presence_penalty", "-0.5", Fate::Honoured},
    {"prompt_cache_key", R"("k")", Fate::Harmless},
    {"prompt_cache_options", R"({"mode":"explicit","ttl":"30m"})", Fate::Harmless},
    {"prompt_cache_retention", R"("24h")", Fate::Harmless},
    {"reasoning_effort", R"("high")", Fate::Honoured},
    {"response_format", R"({"type":"json_object"})", Fate::Honoured},
    {"safety_identifier", R"("s")", Fate::Harmless},
    {"seed", "7", Fate::Honoured},
    {"service_tier", R"("auto")", Fate::Harmless},
    {"stop", R"("x")", Fate::Honoured},
    {"store", "false", Fate::Harmless},
    {"stream", "true", Fate::Honoured},
    {"temperature", "0.25", Fate::Honoured},
    {"tool_choice", R"("none")", Fate::Honoured},
    {"tools", R"([{"type":"function","function":{"name":"f"}}])", Fate::Honoured},
    {"top_p", "0.5", Fate::Honoured},
    {"user", R"("u")", Fate::Harmless},
    {"verbosity", R"("low")", Fate::Refused},
    {"web_search_options", "{}", Fate::Refused},
    {"chat_template_kwargs", R"({"enable_thinking":false})", Fate::Honoured},
    {"ignore_eos", "true", Fate::Honoured},
    {"min_p", "0.125", Fate::Honoured},
    {"repetition_penalty", "1.5", Fate::Honoured},
    {"stop_token_ids", "[3]", Fate::Honoured},
    {"top_k", "9", Fate::Honoured},
    // Nobody knows these, or they are another server's.
    {"best_of", "1", Fate::Unknown},
    {"chat_template", R"("{{ messages }}")", Fate::Unknown},
    {"frobnicate", "null", Fate::Unknown},
    {"n_discard", "-1", Fate::Unknown},
    {"prompt_logprobs", "-1", Fate::Unknown},
};

TEST(ChatRequestFields, EachIsHonouredHarmlessOrRefusedByName) {
    for (const Row& row : kFields) {
        const std::string member = fmt::format("\"{}\":{}", row.field, row.value);
        const auto request = parse_with(member);
        if (row.fate == Fate::Refused || row.fate == Fate::Unknown) {
            ASSERT_FALSE(request) << member;
            EXPECT_EQ(request.error().field, row.field);
            EXPECT_EQ(request.error().reason,
                      row.fate == Fate::Refused ? "unsupported_parameter" : "unknown_parameter");
            EXPECT_NE(request.error().message.find(row.field), std::string::npos);
            continue;
        }
        ASSERT_TRUE(request) << member << ": " << request.error().message;
        const bool passed_on = std::ranges::any_of(request->passed_on, [&](const auto& pair) {
            return pair.first == row.field && pair.second == row.value;
        });
        EXPECT_EQ(passed_on, row.fate == Fate::Harmless) << member;
    }
}

TEST(ChatRequestFields, NullCountsAsAbsentForWhatIsKnown) {
    for (const Row& row : kFields) {
        const auto request = parse_with(fmt::format("\"{}\":null", row.field));
        EXPECT_EQ(request.has_value(), row.fate != Fate::Unknown) << row.field;
        EXPECT_TRUE(!request || request->passed_on.empty()) << row.field;
    }
}

TEST(ChatRequestFields, HonouredOnesArriveInTheRequest) {
    const auto request = parse_with(
        R"("temperature":0.25,"top_p":0.5,"top_k":9,"min_p":0.125,"repetition_penalty":1.5,)"
        R"("presence_penalty":-0.5,"frequency_penalty":0.75,"logit_bias":{"5":1,"7":-100},)"
        R"("stop":["a","b"],"stop_token_ids":[3],"ignore_eos":true,"seed":-1,"max_tokens":5,)"
        R"("max_completion_tokens":5,"n":2,"logprobs":true,"top_logprobs":4,"stream":true,)"
        R"("stream_options":{"include_usage":true,"include_obfuscation":false},)"
        R"("reasoning_effort":"high","chat_template_kwargs":{"enable_thinking":false})");
    ASSERT_TRUE(request) << request.error().message;
    const chat::SamplingParams& sampling = request->sampling;
    EXPECT_EQ(request->model, "m");
    EXPECT_EQ(sampling.temperature, 0.25f);
    EXPECT_EQ(sampling.top_p, 0.5f);
    EXPECT_EQ(sampling.top_k, 9u);
    EXPECT_EQ(sampling.min_p, 0.125f);
    EXPECT_EQ(sampling.repetition_penalty, 1.5f);
    EXPECT_EQ(sampling.presence_penalty, -0.5f);
    EXPECT_EQ(sampling.frequency_penalty, 0.75f);
    const std::vector<std::pair<TokenId, float>> bias = {{5u, 1.0f}, {7u, -100.0f}};
    EXPECT_EQ(sampling.logit_bias, bias);
    EXPECT_EQ(sampling.stop, (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(sampling.stop_token_ids, std::vector<TokenId>{3});
    EXPECT_TRUE(sampling.ignore_eos);
    EXPECT_EQ(sampling.seed, std::numeric_limits<uint64_t>::max());
    EXPECT_EQ(sampling.tokens_max, 5u);
    EXPECT_EQ(sampling.choices, 2u);
    EXPECT_EQ(sampling.logprobs, 4u);
    EXPECT_TRUE(request->stream);
    EXPECT_TRUE(request->include_usage);
    EXPECT_EQ(conversation(*request).reasoning_effort, "high");
    ASSERT_EQ(conversation(*request).template_variables.size(), 1u);
    EXPECT_EQ(conversation(*request).template_variables[0].second, "false");
}

TEST(ChatRequestFields, BoundaryValues) {
    struct Case {
        std::string_view members;
        std::string_view refused;  // empty: accepted
    };
    constexpr Case kCases[] = {
        {R"("temperature":0)", ""},
        {R"("temperature":2)", ""},
        {R"("temperature":2.01)", "temperature"},
        {R"("temperature":-0.1)", "temperature"},
        {R"("temperature":"1")", "temperature"},
        {R"("top_p":1)", ""},
        {R"("top_p":0)", ""},
        {R"("top_p":1.5)", "top_p"},
        {R"("top_k":-1)", ""},
        {R"("top_k":-2)", "top_k"},
        {R"("top_k":2147483648)", "top_k"},
        {R"("min_p":1.1)", "min_p"},
        {R"("presence_penalty":2.5)", "presence_penalty"},
        {R"("frequency_penalty":-2.5)", "frequency_penalty"},
        {R"("n":0)", "n"},
        {R"("n":128)", ""},
        {R"("n":129)", "n"},
        {R"("n":1.5)", "n"},
        {R"("max_tokens":2147483647)", ""},
        {R"("max_completion_tokens":0)", "max_completion_tokens"},
        {R"("max_tokens":5,"max_completion_tokens":6)", "max_tokens"},
        {R"("logprobs":true,"top_logprobs":20)", ""},
        {R"("logprobs":true,"top_logprobs":21)", "top_logprobs"},
        {R"("top_logprobs":1)", "top_logprobs"},
        {R"("logprobs":1)", "logprobs"},
        {R"("seed":9223372036854775807)", ""},
        {R"("seed":-9223372036854775808)", ""},
        {R"("seed":9223372036854775808)", "seed"},
        {R"("seed":0.5)", "seed"},
        {R"("stop":[])", ""},
        {R"("stop":"")", "stop"},
        {R"("stop":["a",1])", "stop[1]"},
        {R"("stop":1)", "stop"},
        {R"("stop_token_ids":[-1])", "stop_token_ids[0]"},
        {R"("stop_token_ids":[1.0])", "stop_token_ids[0]"},
        {R"("stream_options":{"include_usage":true})", "stream_options"},
        {R"("stream":true,"stream_options":{"x":1})", "stream_options.x"},
        {R"("reasoning_effort":"extreme")", "reasoning_effort"},
        {R"("service_tier":"default")", ""},
        {R"("service_tier":"flex")", "service_tier"},
        {R"("store":true)", "store"},
        {R"("modalities":["text","audio"])", "modalities"},
        {R"("metadata":{"a":1})", "metadata"},
        {R"("prompt_cache_options":{"mode":"x"})", "prompt_cache_options.mode"},
        {R"("prompt_cache_retention":"1h")", "prompt_cache_retention"},
    };
    for (const Case& row : kCases) {
        EXPECT_EQ(refused_field(row.members), row.refused) << row.members;
    }
}

TEST(ChatRequestFields, AP1_ChoicesAreBounded) {
    EXPECT_EQ(refused_field(R"("n":1000000)"), "n");
    EXPECT_EQ(refused_field(R"("n":-1)"), "n");
}

TEST(ChatRequestFields, AP2_LogprobsAreBoundedAndPromptLogprobsRefused) {
    EXPECT_EQ(refused_field(R"("logprobs":true,"top_logprobs":1000000)"), "top_logprobs");
    EXPECT_EQ(refused_field(R"("prompt_logprobs":-1)"), "prompt_logprobs");
}

TEST(ChatRequestFields, AP3_NumbersOfOtherServersAreRefused) {
    EXPECT_EQ(refused_field(R"("n_discard":-5)"), "n_discard");
    EXPECT_EQ(refused_field(R"("min_tokens":-5)"), "min_tokens");
}

TEST(ChatRequestFields, AP4_AbsurdSamplingIsRefused) {
    EXPECT_EQ(refused_field(R"("temperature":999999)"), "temperature");
    EXPECT_EQ(refused_field(R"("top_p":-1)"), "top_p");
    EXPECT_EQ(refused_field(R"("repetition_penalty":0)"), "repetition_penalty");
    EXPECT_EQ(refused_field(R"("max_tokens":0)"), "max_tokens");
    EXPECT_EQ(refused_field(R"("max_tokens":9223372036854775808)"), "max_tokens");
    const auto nan = parse_with(R"("temperature":NaN)");
    ASSERT_FALSE(nan);
    EXPECT_EQ(nan.error().reason, "invalid_json");
    EXPECT_FALSE(parse_with("")->sampling.tokens_max);
}

TEST(ChatRequestFields, AP6_StopAndLogitBiasAreBounded) {
    std::string stops;
    std::string bias;
    for (int i = 0; i < 100'000; ++i) {
        stops += fmt::format("{}\"s\"", i == 0 ? "" : ",");
        bias += fmt::format("{}\"{}\":1", i == 0 ? "" : ",", i);
    }
    EXPECT_EQ(refused_field(fmt::format("\"stop\":[{}]", stops)), "stop");
    EXPECT_EQ(refused_field(fmt::format("\"logit_bias\":{{{}}}", bias)), "logit_bias");
    for (const std::string_view id : {"-1", "+1", "01", "1.0", "", " 1", "1e3", "2147483648",
                                      "99999999999999999999", "0x1", "x"}) {
        EXPECT_EQ(refused_field(fmt::format("\"logit_bias\":{{\"{}\":1}}", id)), "logit_bias")
            << id;
    }
    EXPECT_EQ(refused_field(R"("logit_bias":{"2147483647":100})"), "");
    EXPECT_EQ(refused_field(R"("logit_bias":{"0":101})"), "logit_bias.0");
    EXPECT_EQ(refused_field(R"("logit_bias":{"0":null})"), "logit_bias.0");
}

TEST(ChatRequestFields, TK6_OnlyListedTemplateVariablesAreTaken) {
    EXPECT_EQ(refused_field(R"("chat_template_kwargs":{"chat_template":"{{ x }}"})"),
              "chat_template_kwargs.chat_template");
    EXPECT_EQ(refused_field(R"("chat_template_kwargs":{"messages":[]})"),
              "chat_template_kwargs.messages");
    EXPECT_EQ(refused_field(R"("chat_template_kwargs":{"enable_thinking":"yes"})"),
              "chat_template_kwargs.enable_thinking");
    EXPECT_EQ(refused_field(R"("chat_template_kwargs":{"thinking_budget":512})"), "");
}

TEST(ChatRequestBody, HT12_WhatIsNoStrictJsonIsRefused) {
    const std::string deep = std::string(100'000, '[');
    for (const std::string& body :
         {std::string(), std::string("[]"), std::string("{"), deep,
          std::string(R"({"model":"m","model":"n"})"), std::string("\xEF\xBB\xBF{}"),
          body_with(R"("seed":1e999)"), body_with(R"("a":)")}) {
        const auto request = parse_chat_request(body, {});
        ASSERT_FALSE(request);
        EXPECT_EQ(request.error().code, ErrorCode::InvalidArgument);
    }
    EXPECT_EQ(parse_chat_request("{}", {}).error().field, "model");
    EXPECT_EQ(parse_chat_request(R"({"model":"m"})", {}).error().field, "messages");
    EXPECT_EQ(parse_chat_request(R"({"model":"","messages":[]})", {}).error().field, "model");
}

}  // namespace
}  // namespace weir::api

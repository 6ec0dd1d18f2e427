#include "providers/openai/encode.h"

#include <gtest/gtest.h>

namespace weir::providers {
namespace {

using chat::ChatRequest;
using chat::Conversation;

ChatRequest chat_request() {
    ChatRequest request;
    request.id = "7";
    request.input =
        Conversation{.messages = {{.role = chat::Role::User, .content = {{.text = "hi"}}}}};
    return request;
}

Result<Call> encode(const ChatRequest& request, OpenAiDialect dialect = OpenAiDialect::openai()) {
    return encode_openai(request, {.dialect = dialect, .model = "up"});
}

std::string body(const ChatRequest& request, OpenAiDialect dialect = OpenAiDialect::openai()) {
    const auto call = encode(request, dialect);
    return call ? call->body : call.error().field;
}

TEST(Encode, TheLeastThatARequestIs) {
    const auto call = encode(chat_request());
    ASSERT_TRUE(call);
    EXPECT_EQ(call->method, "POST");
    EXPECT_EQ(call->path, "/v1/chat/completions");
    EXPECT_EQ(call->body, R"({"model":"up","messages":[{"role":"user","content":"hi"}]})");
    EXPECT_EQ(call->headers.find("content-type"), "application/json");
    EXPECT_EQ(call->headers.find("accept"), "application/json");
    EXPECT_EQ(call->headers.find("x-weir-request-id"), std::nullopt);
    EXPECT_EQ(call->headers.find("authorization"), std::nullopt);
}

TEST(Encode, StreamsAlwaysAskForTheirUsage) {
    ChatRequest request = chat_request();
    request.stream = true;
    const auto call = encode(request);
    EXPECT_TRUE(call->body.ends_with(R"("stream":true,"stream_options":{"include_usage":true}})"));
    EXPECT_EQ(call->headers.find("accept"), "text/event-stream");
}

TEST(Encode, NumbersGoOutAsTheyCameIn) {
    ChatRequest request = chat_request();
    request.sampling.temperature = 0.7f;
    request.sampling.top_p = 1.0f;
    request.sampling.seed = static_cast<uint64_t>(-5);
    request.sampling.logit_bias = {{5, -100.0f}};
    EXPECT_NE(
        body(request).find(R"("temperature":0.7,"top_p":1,"logit_bias":{"5":-100},"seed":-5)"),
        std::string::npos)
        << body(request);
}

TEST(Encode, TokensMaxHasTheNameThatTheDialectTakes) {
    ChatRequest request = chat_request();
    request.sampling.tokens_max = 9;
    EXPECT_NE(body(request).find(R"("max_completion_tokens":9)"), std::string::npos);
    EXPECT_NE(body(request, OpenAiDialect::vllm()).find(R"("max_tokens":9)"), std::string::npos);
}

TEST(Encode, WhatTheDialectCannotSayIsRefusedByName) {
    struct Case {
        std::string_view field;
        void (*use)(ChatRequest&);
    };
    constexpr Case kCases[] = {
        {"top_k",
         [](ChatRequest& r) {
             r.sampling.top_k = 4;
         }},
        {"min_p",
         [](ChatRequest& r) {
             r.sampling.min_p = 0.1f;
         }},
        {"repetition_penalty",
         [](ChatRequest& r) {
             r.sampling.repetition_penalty = 1.1f;
         }},
        {"stop_token_ids",
         [](ChatRequest& r) {
             r.sampling.stop_token_ids = {1};
         }},
        {"ignore_eos",
         [](ChatRequest& r) {
             r.sampling.ignore_eos = true;
         }},
        {"logit_bias",
         [](ChatRequest& r) {
             r.sampling.logit_bias = {{1, 0.5f}};
         }},
        {"stop",
         [](ChatRequest& r) {
             r.sampling.stop.assign(5, "x");
         }},
        {"chat_template_kwargs",
         [](ChatRequest& r) {
             std::get<Conversation>(r.input).template_variables = {{"enable_thinking", "true"}};
         }},
        {"messages[0].reasoning_content",
         [](ChatRequest& r) {
             std::get<Conversation>(r.input).messages[0].reasoning = "x";
         }},
        {"logprobs",
         [](ChatRequest& r) {
             r.input = chat::RawPrompts{.prompts = {"p"}};
             r.sampling.logprobs = 6;
         }},
    };
    for (const Case& row : kCases) {
        ChatRequest request = chat_request();
        row.use(request);
        const auto refused = encode(request);
        ASSERT_FALSE(refused) << row.field;
        EXPECT_EQ(refused.error().code, ErrorCode::Unsupported);
        EXPECT_EQ(refused.error().field, row.field);
        EXPECT_TRUE(encode(request, OpenAiDialect::worker())) << row.field;
    }
}

TEST(Encode, HarmlessFieldsGoOnlyWhereTheyAreTaken) {
    ChatRequest request = chat_request();
    request.passed_on = {{"user", "\"u\""}, {"metadata", R"({"a":"b"})"}};
    EXPECT_TRUE(body(request).ends_with(R"("user":"u","metadata":{"a":"b"}})"));
    EXPECT_EQ(body(request, OpenAiDialect::vllm()).find("user\":\"u"), std::string::npos);
}

TEST(Encode, AWorkerGetsWhatOnlyThisProgramKnowsOfARequest) {
    ChatRequest request = chat_request();
    request.tenant = "team a";
    request.drawn_seed = 99;
    request.asked_at = std::chrono::local_seconds(std::chrono::seconds(1795276800));
    const auto call = encode(request, OpenAiDialect::worker());
    ASSERT_TRUE(call);
    EXPECT_EQ(call->headers.find("x-weir-request-id"), "7");
    EXPECT_EQ(call->headers.find("x-weir-drawn-seed"), "99");
    EXPECT_EQ(call->headers.find("x-weir-asked-at"), "1795276800");
    EXPECT_EQ(call->headers.find("x-weir-tenant"), "team a");
    request.tenant = "a\r\nx: y";
    EXPECT_FALSE(encode(request, OpenAiDialect::worker()));
    EXPECT_TRUE(encode(request));  // not sent, so no harm
}

TEST(Encode, ChoicesAboutToolsNeedTools) {
    ChatRequest request = chat_request();
    auto& conversation = std::get<Conversation>(request.input);
    conversation.parallel_tool_calls = true;
    conversation.tool_choice = chat::ToolChoice{};
    EXPECT_EQ(body(request).find("tool"), std::string::npos);
    conversation.tools = {{.name = "f", .parameters = R"({"type":"object"})"}};
    EXPECT_NE(body(request).find(
                  R"("tools":[{"type":"function","function":{"name":"f","parameters":)"
                  R"({"type":"object"}}}],"tool_choice":"auto","parallel_tool_calls":true)"),
              std::string::npos)
        << body(request);
}

TEST(Encode, RawPromptsGoToCompletions) {
    ChatRequest request;
    request.input = chat::RawPrompts{.prompts = {"a", std::vector<TokenId>{1, 2}}, .echo = true};
    request.sampling.tokens_max = 0;
    const auto call = encode(request);
    ASSERT_TRUE(call);
    EXPECT_EQ(call->path, "/v1/completions");
    EXPECT_EQ(call->body, R"({"model":"up","prompt":["a",[1,2]],"echo":true,"max_tokens":0})");
}

}  // namespace
}  // namespace weir::providers

#include "engine/local_backend.h"

#include <algorithm>
#include <deque>
#include <thread>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/mutex.h"
#include "base/utf8.h"
#include "engine/answer.h"
#include "text/jinja/outcome.h"

namespace weir::engine {
namespace {

std::unexpected<Error> unsupported_field(std::string_view field, std::string message) {
    return std::unexpected(
        Error{ErrorCode::Unsupported, std::move(message), std::string(field), {}, {}});
}

// Calls are found in what the model says of its own accord. What would have to force its hand is
// refused: tool_choice "required" or a function, strict schemas, at most one call.
Result<void> check_tools(const chat::Conversation& conversation,
                         const text::ChatTemplate* chat_template) {
    using Mode = chat::ToolChoice::Mode;
    const Mode mode = conversation.tool_choice ? conversation.tool_choice->mode : Mode::Auto;
    if (conversation.tools.empty() || mode == Mode::None) {
        return {};
    }
    if (chat_template == nullptr || !chat_template->can_call_tools()) {
        return unsupported_field("tools", "this model cannot call tools");
    }
    if (mode != Mode::Auto) {
        return unsupported_field("tool_choice", "this model cannot be made to call a tool");
    }
    for (size_t i = 0; i < conversation.tools.size(); ++i) {
        if (conversation.tools[i].strict.value_or(false)) {
            return unsupported_field(fmt::format("tools[{}].function.strict", i),
                                     "this model cannot be held to a schema");
        }
    }
    if (!conversation.parallel_tool_calls.value_or(true)) {
        return unsupported_field("parallel_tool_calls",
                                 "this model cannot be held to one call at a time");
    }
    return {};
}

Result<void> refuse_what_only_others_can(const chat::ChatRequest& request,
                                         const text::ChatTemplate* chat_template) {
    if (request.response_format &&
        request.response_format->kind != chat::ResponseFormat::Kind::Text) {
        return std::unexpected(
            make_error(ErrorCode::Unsupported, "this model answers in plain text only")
                .with_field("response_format"));
    }
    const auto* const conversation = std::get_if<chat::Conversation>(&request.input);
    if (conversation == nullptr) {
        return {};
    }
    WEIR_TRY(check_tools(*conversation, chat_template));
    for (size_t i = 0; i < conversation->messages.size(); ++i) {
        for (const chat::ContentPart& part : conversation->messages[i].content) {
            if (part.kind != chat::ContentPart::Kind::Text &&
                part.kind != chat::ContentPart::Kind::Refusal) {
                return std::unexpected(
                    make_error(ErrorCode::Unsupported, "this model reads text only")
                        .with_field(fmt::format("messages[{}].content", i)));
            }
        }
    }
    return {};
}

Error cancelled() {
    return make_error(ErrorCode::Cancelled, "the request was cancelled");
}

// A sink that throws has nobody behind it who could be told.
void tell(chat::ChatSink& sink, Error error) {
    try {
        sink.on_event(std::move(error));
    } catch (const std::exception& exception) {
        log(LogLevel::Error, "a sink failed: {}", exception.what());
    }
}

size_t text_bytes(const chat::Conversation& conversation) {
    size_t bytes = 0;
    for (const chat::Message& message : conversation.messages) {
        for (const chat::ContentPart& part : message.content) {
            bytes += part.text.size();
        }
        for (const chat::ToolCall& call : message.tool_calls) {
            bytes += call.arguments.size();
        }
        bytes += message.reasoning.value_or("").size();
    }
    return bytes;
}

size_t longest_token(const text::Tokenizer& tokenizer) {
    size_t longest = 1;
    for (size_t id = 0; id < tokenizer.vocab_size(); ++id) {
        longest = std::max(longest, tokenizer.token_bytes(static_cast<TokenId>(id)).size());
    }
    return longest;
}

// The tokenizer's and the model's, ascending.
std::vector<TokenId> all_ends(const text::Tokenizer& tokenizer, std::vector<TokenId> ends) {
    const auto known = tokenizer.end_of_generation();
    ends.insert(ends.end(), known.begin(), known.end());
    std::sort(ends.begin(), ends.end());
    ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
    return ends;
}

// The end of a prompt that the template itself has written: what a client says opens nothing.
std::string written_tail(const text::jinja::Rendered& rendered) {
    constexpr size_t kTailBytes = 512;
    if (rendered.segments.empty() || !rendered.segments.back().trusted) {
        return {};
    }
    const std::string& last = rendered.segments.back().text;
    return last.substr(last.size() - std::min(last.size(), kTailBytes));
}

// A number that another turn of the conversation does not share, and a repeated request does.
uint64_t hash_of(std::span<const TokenId> tokens, uint64_t seed) {
    uint64_t hash = 0xCBF29CE484222325u ^ seed;  // FNV-1a, a token at a time
    for (const TokenId token : tokens) {
        hash = (hash ^ static_cast<uint64_t>(token)) * 0x100000001B3u;
    }
    return hash;
}

uint64_t seed_of(const chat::ChatRequest& request) {
    return request.sampling.seed.value_or(request.drawn_seed);
}

using SharedTokens = std::shared_ptr<const std::vector<TokenId>>;

SharedTokens kept_tokens(const text::ChatTemplate* chat_template, const text::Tokenizer& tokenizer,
                         bool with_calls) {
    if (chat_template == nullptr) {
        return nullptr;
    }
    const text::ChatTemplate& used = with_calls ? chat_template->for_tools() : *chat_template;
    text::OutputFormat format = *used.output_format();
    if (!with_calls) {
        format.calls = {};
    }
    return std::make_shared<const std::vector<TokenId>>(format_tokens_of(format, tokenizer));
}

}  // namespace

struct LocalBackend::Impl {
    struct Job {
        std::shared_ptr<const chat::ChatRequest> request;
        std::shared_ptr<chat::ChatSink> sink;
        std::stop_token cancel;
    };

    Result<void> check(const chat::ChatRequest& request) const;
    Result<Answer::Setup> make_prompts(const Job& job) const;
    Result<void> add_conversation(const chat::ChatRequest& request, Answer::Setup& setup) const;
    Result<text::jinja::Rendered> render(const chat::ChatRequest& request) const;
    OutputReading reading_of(const chat::Conversation& conversation) const;
    Result<void> add_raw(const chat::RawPrompts& raw, const std::stop_token& cancel,
                         Answer::Setup& setup) const;
    Result<void> check_bytes(size_t bytes, std::string_view field) const;
    Result<void> hand_over(const Job& job) const;
    void loop();
    std::optional<Job> next_job();

    Engine& engine;
    const std::shared_ptr<const text::Tokenizer> tokenizer;
    const std::shared_ptr<const text::ChatTemplate> chat_template;
    const LocalBackendConfig config;
    const Clock& clock;
    const size_t token_bytes_max;
    const std::vector<TokenId> end_tokens;
    const SharedTokens call_tokens;  // of the output format, with its calls
    const SharedTokens text_tokens;  // without

    Mutex mutex = {};
    Condition wake = {};
    std::deque<Job> jobs WEIR_GUARDED_BY(mutex) = {};
    bool stopping WEIR_GUARDED_BY(mutex) = false;
    std::thread thread = {};  // last: it uses the rest
};

Result<void> LocalBackend::Impl::check(const chat::ChatRequest& request) const {
    WEIR_TRY(refuse_what_only_others_can(request, chat_template.get()));
    WEIR_TRY(validate(request.sampling, engine.token_ids_end()));
    const auto* const raw = std::get_if<chat::RawPrompts>(&request.input);
    const size_t prompts = raw == nullptr ? 1 : raw->prompts.size();
    if (prompts == 0 || prompts > config.prompts_max) {
        return invalid_argument("prompt", "{} prompts; 1 to {} are allowed", prompts,
                                config.prompts_max);
    }
    const uint32_t each = request.sampling.best_of.value_or(request.sampling.choices);
    if (each > config.choices_max / prompts) {
        return invalid_argument(request.sampling.best_of ? "best_of" : "n",
                                "{} prompts of {} choices; {} together are allowed", prompts, each,
                                config.choices_max);
    }
    if (raw == nullptr) {
        if (chat_template == nullptr) {
            return std::unexpected(
                make_error(ErrorCode::Unsupported, "this model has no chat template")
                    .with_field("messages")
                    .with_reason("no_chat_template"));
        }
        if (request.sampling.best_of) {
            return invalid_argument("best_of", "is for completions only");
        }
    }
    return {};
}

// Refuses, before a tokenizer reads it, a text that no sequence of the context's length can spell:
// there is one thread for all prompts, and others wait behind this one. (What a tokenizer would
// drop or fold, such as a megabyte of spaces, counts all the same.)
Result<void> LocalBackend::Impl::check_bytes(size_t bytes, std::string_view field) const {
    const uint64_t context = engine.context_tokens();
    if (bytes <= context * token_bytes_max) {
        return {};
    }
    auto refused = invalid_argument(field,
                                    "This model's maximum context length is {} tokens. However, "
                                    "the prompt has {} bytes, which are at least {} tokens.",
                                    context, bytes, (bytes - 1) / token_bytes_max + 1);
    return std::unexpected(std::move(refused).error().with_reason(kContextLengthExceeded));
}

// What is too much for the template is too much for the context, if the messages alone are.
Result<text::jinja::Rendered> LocalBackend::Impl::render(const chat::ChatRequest& request) const {
    const auto& conversation = std::get<chat::Conversation>(request.input);
    const auto now = request.asked_at ? *request.asked_at : local_time(clock);
    auto rendered =
        chat_template->render(conversation, text::ChatTemplate::GenerationPrompt::Yes, now);
    if (rendered || rendered.error().reason != text::jinja::kTemplateLimit) {
        return rendered;
    }
    const size_t bytes = text_bytes(conversation);
    WEIR_TRY(check_bytes(bytes, "messages"));
    constexpr size_t kRenderedMax = text::jinja::RenderLimits{}.output_bytes_max;
    if (bytes > kRenderedMax) {
        auto refused = invalid_argument(
            "messages",
            "This model's maximum context length is {} tokens. However, the messages have {} "
            "bytes, and a prompt may have {}.",
            engine.context_tokens(), bytes, kRenderedMax);
        return std::unexpected(std::move(refused).error().with_reason(kContextLengthExceeded));
    }
    return rendered;
}

Result<void> LocalBackend::Impl::add_conversation(const chat::ChatRequest& request,
                                                  Answer::Setup& setup) const {
    WEIR_TRY_ASSIGN(const auto rendered, render(request));
    std::vector<text::Segment> segments;
    size_t bytes = 0;
    for (const auto& segment : rendered.segments) {
        segments.push_back({.text = segment.text, .trusted = segment.trusted});
        bytes += segment.text.size();
    }
    WEIR_TRY(check_bytes(bytes, "messages"));
    WEIR_TRY_ASSIGN(auto tokens, tokenizer->encode_segments(segments));
    setup.reading = reading_of(std::get<chat::Conversation>(request.input));
    setup.reading.prompt_tail = written_tail(rendered);
    setup.reading.id_seed = hash_of(tokens, seed_of(request));
    setup.prompts.push_back(std::move(tokens));
    return {};
}

OutputReading LocalBackend::Impl::reading_of(const chat::Conversation& conversation) const {
    OutputReading reading;
    const auto& format = chat_template->for_conversation(conversation).output_format();
    if (format->is_plain()) {
        return reading;
    }
    const bool may_call =
        !conversation.tool_choice || conversation.tool_choice->mode != chat::ToolChoice::Mode::None;
    reading.format = format;
    reading.finds_calls = may_call && !conversation.tools.empty();
    reading.tools = std::make_shared<const text::ToolTypes>(
        reading.finds_calls ? conversation.tools : std::vector<chat::Tool>());
    reading.format_tokens = reading.finds_calls ? call_tokens : text_tokens;
    return reading;
}

// The caller of a completion writes the whole prompt, control tokens included.
Result<void> LocalBackend::Impl::add_raw(const chat::RawPrompts& raw, const std::stop_token& cancel,
                                         Answer::Setup& setup) const {
    for (const auto& prompt : raw.prompts) {
        if (cancel.stop_requested()) {
            return std::unexpected(cancelled());
        }
        if (const auto* const ids = std::get_if<std::vector<TokenId>>(&prompt)) {
            setup.prompts.push_back(*ids);
            if (raw.echo) {
                WEIR_TRY_ASSIGN(std::string text, tokenizer->decode(*ids, {.skip_special = true}));
                setup.echo.push_back(utf8::to_valid(text));
            }
            continue;
        }
        const std::string& text = std::get<std::string>(prompt);
        WEIR_TRY(check_bytes(text.size(), "prompt"));
        WEIR_TRY_ASSIGN(auto tokens,
                        tokenizer->encode(text, {.parse_special = true, .add_special = true}));
        if (tokens.empty() && tokenizer->bos()) {
            tokens.push_back(*tokenizer->bos());  // an empty prompt begins a text
        }
        setup.prompts.push_back(std::move(tokens));
        if (raw.echo) {
            setup.echo.push_back(text);
        }
    }
    return {};
}

Result<Answer::Setup> LocalBackend::Impl::make_prompts(const Job& job) const {
    Answer::Setup setup{.request = job.request, .sink = job.sink, .tokenizer = tokenizer};
    setup.started.model = config.model_name;
    if (!config.system_fingerprint.empty()) {
        setup.started.system_fingerprint = config.system_fingerprint;
    }
    const chat::SamplingParams& sampling = job.request->sampling;
    setup.candidates_each = sampling.best_of.value_or(sampling.choices);
    if (const auto* const raw = std::get_if<chat::RawPrompts>(&job.request->input)) {
        WEIR_TRY(add_raw(*raw, job.cancel, setup));
    } else {
        WEIR_TRY(add_conversation(*job.request, setup));
    }
    return setup;
}

Result<void> LocalBackend::Impl::hand_over(const Job& job) const {
    if (job.cancel.stop_requested()) {
        return std::unexpected(cancelled());
    }
    WEIR_TRY_ASSIGN(Answer::Setup setup, make_prompts(job));
    Generation generation;
    generation.prompts = setup.prompts;
    generation.choices_each = setup.candidates_each;
    generation.sampling = job.request->sampling;
    generation.seed = seed_of(*job.request);
    generation.end_tokens = end_tokens;
    generation.tenant = job.request->tenant;
    if (!setup.echo.empty()) {
        generation.prompt_logprobs = job.request->sampling.logprobs;
    }
    const bool is_chat = std::holds_alternative<chat::Conversation>(job.request->input);
    auto submitted = engine.submit(std::move(generation),
                                   std::make_shared<Answer>(std::move(setup)), job.cancel);
    if (!submitted && is_chat && submitted.error().field == "prompt") {
        submitted.error().field = "messages";
    }
    return submitted;
}

// Nothing: it is over. Whose prompts are not made yet is told by the destructor.
std::optional<LocalBackend::Impl::Job> LocalBackend::Impl::next_job() {
    const MutexLock lock(mutex);
    while (jobs.empty() && !stopping) {
        wake.wait(mutex);
    }
    if (stopping) {
        return std::nullopt;
    }
    Job job = std::move(jobs.front());
    jobs.pop_front();
    return job;
}

void LocalBackend::Impl::loop() {
    while (const std::optional<Job> job = next_job()) {
        Result<void> done;
        try {
            done = hand_over(*job);
        } catch (const std::exception& exception) {  // memory
            log(LogLevel::Error, "a prompt could not be made: {}", exception.what());
            done = fail(ErrorCode::ResourceExhausted, "out of memory");
        }
        if (!done) {
            tell(*job->sink, std::move(done).error());
        }
    }
}

LocalBackend::LocalBackend(Engine& engine, std::shared_ptr<const text::Tokenizer> tokenizer,
                           std::shared_ptr<const text::ChatTemplate> chat_template,
                           LocalBackendConfig config, const Clock& clock)
    : impl_(new Impl{.engine = engine,
                     .tokenizer = tokenizer,
                     .chat_template = chat_template,
                     .config = config,
                     .clock = clock,
                     .token_bytes_max = longest_token(*tokenizer),
                     .end_tokens = all_ends(*tokenizer, std::move(config.end_tokens)),
                     .call_tokens = kept_tokens(chat_template.get(), *tokenizer, true),
                     .text_tokens = kept_tokens(chat_template.get(), *tokenizer, false)}) {
    impl_->thread = std::thread([impl = impl_.get()] { impl->loop(); });
}

LocalBackend::~LocalBackend() {
    std::deque<Impl::Job> left;
    {
        const MutexLock lock(impl_->mutex);
        impl_->stopping = true;
        left.swap(impl_->jobs);
    }
    impl_->wake.notify_one();
    impl_->thread.join();
    for (const Impl::Job& job : left) {
        tell(*job.sink, make_error(ErrorCode::Unavailable, "the engine is shutting down"));
    }
}

void LocalBackend::start(std::shared_ptr<const chat::ChatRequest> request,
                         std::shared_ptr<chat::ChatSink> sink, std::stop_token cancel) {
    if (auto checked = impl_->check(*request); !checked) {
        sink->on_event(std::move(checked).error());
        return;
    }
    bool is_full = false;
    {
        const MutexLock lock(impl_->mutex);
        is_full = impl_->jobs.size() >= impl_->config.preparing_max;
        if (!is_full) {
            impl_->jobs.push_back({std::move(request), sink, std::move(cancel)});
        }
    }
    if (is_full) {
        auto error = make_error(ErrorCode::Overloaded, "too many requests are being prepared");
        error.retry_after = std::chrono::seconds{1};
        sink->on_event(std::move(error));
        return;
    }
    impl_->wake.notify_one();
}

}  // namespace weir::engine

#include "cli/run.h"

#include <unistd.h>

#include <cstdio>
#include <future>
#include <iostream>
#include <iterator>

#include "base/random.h"
#include "engine/local_model.h"
#include "json/write.h"

namespace weir::cli {
namespace {

struct Answer {
    std::string text;
    std::optional<chat::FinishReason> reason;
    std::optional<chat::Usage> usage;
};

// Keeps an answer, and prints it as it comes if it is for people.
class Printer final : public chat::ChatSink {
  public:
    explicit Printer(OutputForm form) : form_(form) {}

    void on_event(chat::ChatEvent event) override {
        if (const auto* delta = std::get_if<chat::TextDelta>(&event)) {
            if (form_ == OutputForm::Text) {
                std::fwrite(delta->text.data(), 1, delta->text.size(), stdout);
                std::fflush(stdout);
            }
            answer_.text += delta->text;
        } else if (const auto* choice = std::get_if<chat::ChoiceFinished>(&event)) {
            answer_.reason = choice->reason;
        } else if (const auto* finished = std::get_if<chat::Finished>(&event)) {
            answer_.usage = finished->usage;
            done_.set_value(std::move(answer_));
        } else if (const Error* error = std::get_if<Error>(&event)) {
            done_.set_value(std::unexpected(*error));
        }
    }

    Result<Answer> wait() { return done_.get_future().get(); }

  private:
    OutputForm form_;
    Answer answer_;
    std::promise<Result<Answer>> done_;
};

std::string as_json(const Answer& answer, int64_t seed) {
    std::string out;
    json::Writer writer(out);
    writer.begin_object().member("text", answer.text).key("finish_reason");
    answer.reason ? writer.value(chat::name(*answer.reason)) : writer.null();
    writer.member("seed", seed);
    if (answer.usage) {
        writer.member("prompt_tokens", answer.usage->prompt_tokens)
            .member("completion_tokens", answer.usage->completion_tokens);
    }
    writer.end_object();
    return out;
}

chat::Message message(chat::Role role, std::string text) {
    return {.role = role, .content = {chat::ContentPart{.text = std::move(text)}}};
}

// One more turn: the question goes in, and so does the answer.
Result<void> take_turn(chat::ChatBackend& backend, chat::Conversation& conversation,
                       const RunOptions& options, std::string question) {
    conversation.messages.push_back(message(chat::Role::User, std::move(question)));
    auto request = std::make_shared<chat::ChatRequest>();
    request->id = "run";
    request->input = conversation;
    request->stream = true;
    request->sampling.temperature = options.temperature;
    request->sampling.tokens_max = options.tokens_max;
    const int64_t seed = options.seed.value_or(static_cast<int64_t>(random_u64() >> 1));
    request->sampling.seed = static_cast<uint64_t>(seed);
    const auto printer = std::make_shared<Printer>(options.form);
    backend.start(request, printer, {});
    WEIR_TRY_ASSIGN(Answer answer, printer->wait());
    std::puts(options.form == OutputForm::Json ? as_json(answer, seed).c_str() : "");
    conversation.messages.push_back(message(chat::Role::Assistant, std::move(answer.text)));
    return {};
}

}  // namespace

Result<void> run(const ModelAccess& access, const std::string& model, const RunOptions& options) {
    WEIR_TRY_ASSIGN(auto source, access.open(model));
    metrics::Registry registry;
    WEIR_TRY_ASSIGN(const auto local,
                    engine::LocalModel::load(std::move(source), {.threads = options.threads},
                                             system_clock(), registry));
    local->run();
    chat::Conversation conversation;
    if (!options.system.empty()) {
        conversation.messages.push_back(message(chat::Role::System, options.system));
    }
    if (!options.prompt.empty()) {
        return take_turn(local->backend(), conversation, options, options.prompt);
    }
    if (::isatty(STDIN_FILENO) == 0) {
        std::string all{std::istreambuf_iterator<char>(std::cin), {}};
        return take_turn(local->backend(), conversation, options, std::move(all));
    }
    std::string line;
    const auto ask = [&] {
        std::cout << (options.form == OutputForm::Text ? ">>> " : "") << std::flush;
    };
    for (ask(); std::getline(std::cin, line); ask()) {
        if (!line.empty()) {
            WEIR_TRY(take_turn(local->backend(), conversation, options, line));
        }
    }
    if (options.form == OutputForm::Text) {
        std::puts("");
    }
    return {};
}

}  // namespace weir::cli

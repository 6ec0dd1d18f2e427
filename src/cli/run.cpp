#include "cli/run.h"

#include <unistd.h>

#include <cstdio>
#include <future>
#include <iostream>
#include <iterator>

#include "base/random.h"
#include "engine/local_model.h"

namespace weir::cli {
namespace {

// Prints an answer as it comes, and keeps it.
class Printer final : public chat::ChatSink {
  public:
    void on_event(chat::ChatEvent event) override {
        if (const auto* delta = std::get_if<chat::TextDelta>(&event)) {
            std::fwrite(delta->text.data(), 1, delta->text.size(), stdout);
            std::fflush(stdout);
            text_ += delta->text;
        } else if (const Error* error = std::get_if<Error>(&event)) {
            done_.set_value(std::unexpected(*error));
        } else if (chat::is_last(event)) {
            done_.set_value(text_);
        }
    }

    Result<std::string> wait() { return done_.get_future().get(); }

  private:
    std::string text_;
    std::promise<Result<std::string>> done_;
};

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
    request->sampling.seed = options.seed.value_or(random_u64());
    const auto printer = std::make_shared<Printer>();
    backend.start(request, printer, {});
    WEIR_TRY_ASSIGN(std::string answer, printer->wait());
    std::puts("");
    conversation.messages.push_back(message(chat::Role::Assistant, std::move(answer)));
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
    while (std::cout << ">>> " << std::flush && std::getline(std::cin, line)) {
        if (!line.empty()) {
            WEIR_TRY(take_turn(local->backend(), conversation, options, line));
        }
    }
    std::puts("");
    return {};
}

}  // namespace weir::cli

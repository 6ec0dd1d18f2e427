#include "server/replay_sink.h"

#include <string_view>

namespace weir::server {
namespace {

uint64_t hash_more(uint64_t hash, std::string_view bytes) {
    for (const char c : bytes) {
        hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    }
    return hash;
}

uint64_t hash_event(uint64_t hash, const chat::ChatEvent& event) {
    const auto kind = static_cast<char>(event.index());
    hash = hash_more(hash, {&kind, 1});
    const auto say = [&](uint32_t choice, std::string_view text) {
        const auto number = static_cast<char>(choice);
        hash = hash_more(hash_more(hash, {&number, 1}), text);
    };
    if (const auto* text = std::get_if<chat::TextDelta>(&event)) {
        say(text->choice, text->text);
    } else if (const auto* reasoning = std::get_if<chat::ReasoningDelta>(&event)) {
        say(reasoning->choice, reasoning->text);
    } else if (const auto* call = std::get_if<chat::ToolCallDelta>(&event)) {
        say(call->choice, call->arguments);
    } else if (const auto* end = std::get_if<chat::ChoiceFinished>(&event)) {
        say(end->choice, name(end->reason));
    }
    return hash;
}

}  // namespace

void ReplaySink::on_event(chat::ChatEvent event) {
    if (diverged_) {
        return;
    }
    if (to_skip_ == 0) {
        ++passed_;
        passed_hash_ = hash_event(passed_hash_, event);
        target_->on_event(std::move(event));
        return;
    }
    skipped_hash_ = hash_event(skipped_hash_, event);
    --to_skip_;
    diverged_ = (to_skip_ == 0 && skipped_hash_ != passed_hash_) || chat::is_last(event);
}

void ReplaySink::rewind() {
    to_skip_ = passed_;
    skipped_hash_ = kHashStart;
}

}  // namespace weir::server

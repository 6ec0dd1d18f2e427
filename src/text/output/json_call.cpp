#include "text/output/json_call.h"

#include "text/output/marker.h"

namespace weir::text {

JsonCall::Role JsonCall::role_of(std::string_view key) const {
    if (format_->name_is_key && depth_ == 1 && name_.empty()) {
        return Role::Arguments;
    }
    if (key == "name" || key == "tool_name" || (key == format_->name_key && !key.empty())) {
        return Role::Name;
    }
    if (key == "arguments" || key == "parameters" ||
        (key == format_->arguments_key && !key.empty())) {
        return Role::Arguments;
    }
    if (key == "id" || key == "tool_call_id") {
        return Role::Id;
    }
    return key == "function" ? Role::Nested : Role::Other;
}

JsonCall::Step JsonCall::feed(char c, std::string& arguments) {
    switch (state_) {
        case State::Open:
            if (c != '{') {
                return {.fails = true};
            }
            depth_ = 1;
            state_ = State::Key;
            return {};
        case State::Key:
        case State::InKey:
            if (state_ == State::Key && c == '}') {
                return close(arguments);
            }
            return feed_key(c);
        case State::Colon:
            if (c == ':') {
                state_ = State::Value;
            }
            return {.fails = c != ':' && !is_space(c)};
        case State::Value:
        case State::InText:
        case State::InTree:
        case State::InScalar:
            return feed_value(c, arguments);
        case State::After:
            if (c == ',') {
                state_ = State::Key;
                return {};
            }
            if (c == '}') {
                return close(arguments);
            }
            return {.fails = !is_space(c)};
    }
    return {.fails = true};
}

JsonCall::Step JsonCall::feed_key(char c) {
    if (state_ == State::Key) {
        if (c == '"') {
            state_ = State::InKey;
            word_.clear();
            decoder_ = {};
            return {};
        }
        return {.fails = !is_space(c)};
    }
    if (!decoder_.feed(c, word_)) {
        return {.fails = word_.size() > kWordBytesMax};
    }
    role_ = role_of(word_);
    if (format_->name_is_key && role_ == Role::Arguments && name_.empty()) {
        name_ = word_;
    }
    state_ = State::Colon;
    const bool is_foreign = role_ == Role::Other && word_ != "type";
    return {.fails = only_calls_ && !begun_ && is_foreign};
}

JsonCall::Step JsonCall::feed_value(char c, std::string& arguments) {
    Step step;
    if (state_ == State::Value) {
        if (is_space(c)) {
            return {};
        }
        if (c == '{' && role_ == Role::Nested && depth_ == 1) {
            depth_ = 2;
            state_ = State::Key;
            return {};
        }
        const bool is_name = role_ == Role::Name || (role_ == Role::Nested && name_.empty());
        if (c == ',' || c == '}' || (is_name && c != '"')) {
            return {.fails = true};
        }
        if (role_ == Role::Arguments) {
            has_arguments_ = true;
            if (!name_.empty()) {
                step = begin(arguments);
            }
        }
        word_.clear();
        decoder_ = {};
        cursor_ = {};
        if (c == '"') {
            state_ = State::InText;
            return step;
        }
        state_ = c == '{' || c == '[' ? State::InTree : State::InScalar;
    }
    if (state_ == State::InText) {
        std::string piece;
        const bool is_end = decoder_.feed(c, piece);
        put(piece, arguments);
        if (too_long_) {
            return {.fails = true};
        }
        return is_end ? end_value(arguments) : step;
    }
    if (state_ == State::InTree) {
        put({&c, 1}, arguments);
        if (too_long_) {
            return {.fails = true};
        }
        if (cursor_.feed(c)) {
            const Step ended = end_value(arguments);
            step.begins = step.begins || ended.begins;
            step.fails = ended.fails;
        }
        return step;
    }
    if (c == ',' || c == '}' || is_space(c)) {
        const Step ended = end_value(arguments);
        if (ended.fails) {
            return ended;
        }
        Step next = feed(c, arguments);
        next.begins = next.begins || ended.begins;
        return next;
    }
    put({&c, 1}, arguments);
    return step;
}

void JsonCall::put(std::string_view bytes, std::string& arguments) {
    if (role_ == Role::Arguments) {
        (begun_ ? arguments : early_) += bytes;
        too_long_ = early_.size() > kEarlyBytesMax;
    } else if (role_ == Role::Name || role_ == Role::Nested || role_ == Role::Id) {
        word_ += bytes;
        too_long_ = word_.size() > kWordBytesMax;
    }
}

JsonCall::Step JsonCall::end_value(std::string& arguments) {
    state_ = State::After;
    if (role_ == Role::Id) {
        id_ = word_;
    }
    const bool names = role_ == Role::Name || (role_ == Role::Nested && name_.empty());
    if (!names) {
        return {};
    }
    if (word_.empty() || begun_) {
        return {.fails = word_.empty()};
    }
    name_ = word_;
    return has_arguments_ ? begin(arguments) : Step{};
}

JsonCall::Step JsonCall::begin(std::string& arguments) {
    if (begun_) {
        return {};
    }
    begun_ = true;
    arguments += early_;
    early_ = {};
    return {.begins = true};
}

JsonCall::Step JsonCall::close(std::string& arguments) {
    if (depth_ == 2) {
        depth_ = 1;
        state_ = State::After;
        return {};
    }
    if (begun_) {
        return {.ends = true};
    }
    if (name_.empty() || only_calls_) {
        return {.fails = true};
    }
    Step step = begin(arguments);
    arguments += "{}";
    step.ends = true;
    return step;
}

}  // namespace weir::text

#include "text/jinja/runtime.h"

namespace weir::text::jinja {
namespace {

constexpr size_t kObjectBytes = 64;  // a heap object's own size, roughly and generously

}  // namespace

Outcome<void> Runtime::charge(uint64_t steps) {
    steps_ += steps;
    if (steps_ > limits_.steps_max) {
        return raise_text(kTemplateLimit, "the template takes too many steps");
    }
    return reserve(0);
}

Outcome<void> Runtime::reserve(size_t bytes) {
    if (bytes_ > limits_.memory_bytes_max || bytes > limits_.memory_bytes_max - bytes_) {
        return raise_text(kTemplateLimit, "the template uses too much memory");
    }
    return {};
}

std::unexpected<Raised> Runtime::too_deep() {
    return raise_text(kTemplateLimit, "the template nests too deeply");
}

Value Runtime::text(MarkedText text, bool markup) {
    bytes_ += kObjectBytes + text.size() + text.mark_bytes();
    return Value::of(strings_.emplace_back(Str{std::move(text), markup}));
}

Value Runtime::slice(const Value& str, size_t from, size_t to) {
    return text(str.text().slice(from, to), str.str().markup);
}

Value Runtime::store_sequence(Kind kind, std::vector<Value> items, Seq::Tag tag) {
    bytes_ += kObjectBytes + items.size() * sizeof(Value);
    Seq& seq = sequences_.emplace_back(Seq{std::move(items), tag});
    return kind == Kind::List    ? Value::list(seq)
           : kind == Kind::Tuple ? Value::tuple(seq)
                                 : Value::view(seq);
}

Value Runtime::list(std::vector<Value> items) {
    return store_sequence(Kind::List, std::move(items), Seq::Tag::Plain);
}

Value Runtime::tuple(std::vector<Value> items, Seq::Tag tag) {
    return store_sequence(Kind::Tuple, std::move(items), tag);
}

Value Runtime::view(std::vector<Value> items, Seq::Tag tag) {
    return store_sequence(Kind::View, std::move(items), tag);
}

Value Runtime::dict(std::vector<Dict::Entry> entries) {
    bytes_ += kObjectBytes + entries.size() * (sizeof(Dict::Entry) + sizeof(uint32_t));
    return Value::of(dicts_.emplace_back(Dict::build(std::move(entries))));
}

Value Runtime::generator(std::vector<Value> items) {
    bytes_ += kObjectBytes + items.size() * sizeof(Value);
    return Value::of(generators_.emplace_back(Generator{std::move(items), 0}));
}

Value Runtime::range(const Range& range) {
    bytes_ += kObjectBytes;
    return Value::of(ranges_.emplace_back(range));
}

Namespace& Runtime::name_space() {
    bytes_ += kObjectBytes;
    return namespaces_.emplace_back();
}

LoopState& Runtime::loop() {
    bytes_ += sizeof(LoopState) + 512;  // a deque allocates a block at once
    return loops_.emplace_back();
}

Cycler& Runtime::cycler() {
    bytes_ += kObjectBytes;
    return cyclers_.emplace_back();
}

void TextBuilder::fill(std::string_view bytes, size_t times, Trust trust) {
    if (bytes.empty() || times == 0) {
        return;
    }
    if (times > bytes_max_ / bytes.size()) {
        full_ = true;
        return;
    }
    std::string filled;
    filled.reserve(bytes.size() * times);
    for (size_t i = 0; i < times; ++i) {
        filled += bytes;
    }
    append(filled, trust);
}

Outcome<void> TextBuilder::check() const {
    if (full_ || text_.mark_bytes() > rt_.room()) {
        return raise_text(kTemplateLimit, "the template makes too much text");
    }
    return {};
}

Outcome<Value> TextBuilder::finish(bool markup) {
    WEIR_TRY(check());
    return rt_.text(std::move(text_), markup);
}

Outcome<MarkedText> TextBuilder::take() {
    WEIR_TRY(check());
    return std::move(text_);
}

}  // namespace weir::text::jinja

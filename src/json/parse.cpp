#include "json/parse.h"

#include <algorithm>
#include <bit>
#include <boost/json/basic_parser_impl.hpp>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

namespace weir::json {
namespace {

namespace bj = boost::json;

// Builds a Value from the events of Boost.JSON's parser. Frames live on the heap, so that nesting
// costs no stack.
class Builder {
  public:
    constexpr static std::size_t max_object_size = static_cast<std::size_t>(-1);
    constexpr static std::size_t max_array_size = static_cast<std::size_t>(-1);
    constexpr static std::size_t max_key_size = static_cast<std::size_t>(-1);
    constexpr static std::size_t max_string_size = static_cast<std::size_t>(-1);

    using View = bj::string_view;
    using Code = bj::error_code;

    Builder(std::span<FlatMember> flat_members, bool rounds_large)
        : flat_members_(flat_members), rounds_large_(rounds_large) {}

    bool on_document_begin(Code&) { return true; }
    bool on_document_end(Code&) { return true; }
    bool on_array_begin(Code&) {
        if (!open_flat(Flat::Kind::List)) {
            frames_.push_back(Frame{.kind = Kind::Array});
        }
        return true;
    }
    bool on_array_end(std::size_t size, Code&) {
        if (flat_ != nullptr) {
            close_flat(size);
            return true;
        }
        Array items = std::move(frames_.back().items);
        frames_.pop_back();
        return put(Value(std::move(items)));
    }
    bool on_object_begin(Code&) {
        if (!open_flat(Flat::Kind::Members)) {
            frames_.push_back(Frame{.kind = Kind::Object});
        }
        return true;
    }
    bool on_object_end(std::size_t size, Code& code) {
        if (flat_ != nullptr) {
            const Flat& flat = *flat_;
            const size_t opened = close_flat(2 * size);
            return flat.has_key_twice(opened) ? refuse_key_twice(code) : true;
        }
        Object object;
        const std::string_view twice = object.adopt(std::move(frames_.back().members));
        if (!twice.empty() || has_empty_key_twice(object)) {
            return refuse_key_twice(code);
        }
        frames_.pop_back();
        return put(Value(std::move(object)));
    }
    bool on_key_part(View part, std::size_t, Code&) { return append(part); }
    bool on_key(View part, std::size_t, Code&) {
        if (flat_ != nullptr) {
            return put_flat_string(part);
        }
        append(part);
        frames_.back().members.emplace_back(std::exchange(text_, {}), Value());
        return true;
    }
    bool on_string_part(View part, std::size_t, Code&) { return append(part); }
    bool on_string(View part, std::size_t, Code&) {
        if (flat_ != nullptr) {
            return put_flat_string(part);
        }
        append(part);
        return put(Value(std::exchange(text_, {})));
    }
    bool on_number_part(View part, Code&) { return append(part); }
    bool on_int64(int64_t number, View, Code&) {
        text_.clear();
        return put_scalar(Flat::Kind::Whole, static_cast<uint64_t>(number), number);
    }
    bool on_uint64(uint64_t number, View, Code&) {
        text_.clear();
        return put_scalar(Flat::Kind::Large, number, number);
    }
    bool on_double(double, View part, Code& code) {
        append(part);
        return put_double(std::exchange(text_, {}), code);
    }
    bool on_bool(bool value, Code&) { return put_scalar(Flat::Kind::Bool, value ? 1 : 0, value); }
    bool on_null(Code&) { return put_scalar(Flat::Kind::Null, 0, nullptr); }
    bool on_comment_part(View, Code&) { return true; }
    bool on_comment(View, Code&) { return true; }

    Value take() { return std::move(root_); }
    std::string_view problem() const { return problem_; }

  private:
    enum class Kind : uint8_t { Array, Object };
    struct Frame {
        Kind kind;
        Array items;
        std::vector<Object::Member> members;  // the last one waits for its value
    };

    bool append(View part) {
        text_.append(part.data(), part.size());
        return true;
    }

    bool put(Value value) {
        if (frames_.empty()) {
            root_ = std::move(value);
        } else if (frames_.back().kind == Kind::Array) {
            frames_.back().items.push_back(std::move(value));
        } else {
            frames_.back().members.back().second = std::move(value);
        }
        return true;
    }

    template <typename Scalar>
    bool put_scalar(Flat::Kind kind, uint64_t bits, Scalar value) {
        if (flat_ == nullptr) {
            return put(Value(value));
        }
        flat_->add(kind, bits);
        return true;
    }

    bool put_flat_string(View part) {
        if (text_.empty()) {
            flat_->add_string({part.data(), part.size()});
            return true;
        }
        append(part);
        flat_->add_string(text_);
        text_.clear();
        return true;
    }

    // The flat member whose value begins now, if any.
    Flat* flat_here() {
        if (frames_.size() != 2 || frames_[0].kind != Kind::Object ||
            frames_[1].kind != Kind::Object) {
            return nullptr;
        }
        const auto here = std::ranges::find_if(flat_members_, [this](const FlatMember& member) {
            return member.object == frames_[0].members.back().first &&
                   member.name == frames_[1].members.back().first;
        });
        return here == flat_members_.end() ? nullptr : &here->flat;
    }

    bool open_flat(Flat::Kind kind) {
        if (flat_ == nullptr) {
            flat_ = flat_members_.empty() ? nullptr : flat_here();
        }
        if (flat_ != nullptr) {
            flat_opened_.push_back(flat_->open(kind));
        }
        return flat_ != nullptr;
    }

    // Returns what open returned.
    size_t close_flat(size_t size) {
        const size_t opened = flat_opened_.back();
        flat_opened_.pop_back();
        flat_->close(opened, size);
        flat_ = flat_opened_.empty() ? nullptr : flat_;
        return opened;
    }

    bool refuse_key_twice(Code& code) {
        problem_ = "an object has the same member twice";
        code = bj::error::syntax;
        return false;
    }

    // Boost hands a whole number that fits no integer over as a double; its own doubles may be off
    // by one unit in the last place, so the text is read again.
    bool put_double(const std::string& text, Code& code) {
        double number = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        const bool whole = text.find_first_of(".eE") == std::string::npos;
        if ((whole && !rounds_large_) || !std::isfinite(number) ||
            error == std::errc::invalid_argument ||
            (error == std::errc::result_out_of_range && !is_tiny(text))) {
            problem_ = "a number is out of range";
            code = bj::error::syntax;
            return false;
        }
        number = error == std::errc::result_out_of_range ? 0.0 : number;
        return put_scalar(Flat::Kind::Real, std::bit_cast<uint64_t>(number), number);
    }

    // from_chars reports 1e-400 as out of range too; that one is zero for every reader. Which end
    // of the range was left shows in the power of ten of the first digit that counts: "0.00…01" and
    // "1e-400" are small, "1000….0" and "1000…e-5" are large.
    static bool is_tiny(std::string_view text) {
        const std::string_view mantissa = text.substr(0, text.find_first_of("eE"));
        const size_t first = mantissa.find_first_of("123456789");
        if (first == std::string_view::npos) {
            return true;
        }
        const size_t point = std::min(mantissa.find('.'), mantissa.size());
        const auto power = static_cast<int64_t>(point) - static_cast<int64_t>(first);
        return power + exponent_of(text.substr(mantissa.size())) <= 0;
    }

    // Of "", "e-12" or "E+7"; Boost has refused what no int holds.
    static int64_t exponent_of(std::string_view text) {
        text.remove_prefix(std::min(text.find_first_of("-0123456789"), text.size()));
        int64_t value = 0;
        std::from_chars(text.data(), text.data() + text.size(), value);
        return value;
    }

    static bool has_empty_key_twice(const Object& object) {
        bool seen = false;
        for (const auto& member : object) {
            if (member.first.empty() && std::exchange(seen, true)) {
                return true;
            }
        }
        return false;
    }

    std::span<FlatMember> flat_members_;
    const bool rounds_large_;
    Flat* flat_ = nullptr;             // what is being read into one
    std::vector<size_t> flat_opened_;  // its containers that are not closed

    std::vector<Frame> frames_;
    std::string text_;  // a key, string or number that arrives in parts
    Value root_;
    std::string_view problem_;
};

std::string_view explain(const bj::error_code& code) {
    if (code == bj::error::too_deep) {
        return "it is nested too deeply";
    }
    if (code == bj::error::incomplete) {
        return "it ends too early";
    }
    if (code == bj::error::extra_data) {
        return "something follows after the value";
    }
    if (code == bj::error::syntax) {
        return "a character is not allowed here";
    }
    return "a string or number is not well formed";
}

}  // namespace

Result<Value> parse(std::string_view text, std::span<FlatMember> members,
                    const ParseLimits& limits) {
    if (!members.empty() && text.size() > std::numeric_limits<uint32_t>::max()) {
        return fail(ErrorCode::TooLarge, "the JSON has {} bytes", text.size());
    }
    for (FlatMember& member : members) {
        member.flat = Flat(text);
    }
    bj::parse_options options;
    options.max_depth = limits.depth_max;
    bj::basic_parser<Builder> parser(options, members, limits.rounds_large);
    bj::error_code code;
    const size_t read = parser.write_some(false, text.data(), text.size(), code);
    if (!code && read < text.size()) {
        code = bj::error::extra_data;
    }
    if (code) {
        const std::string_view problem = parser.handler().problem();
        return fail(ErrorCode::InvalidArgument, "not valid JSON at byte {}: {}", read,
                    problem.empty() ? explain(code) : problem);
    }
    return parser.handler().take();
}

Result<Value> parse(std::string_view text, const ParseLimits& limits) {
    return parse(text, {}, limits);
}

}  // namespace weir::json

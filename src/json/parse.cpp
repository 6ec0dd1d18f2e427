#include "json/parse.h"

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <charconv>
#include <cmath>
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

    bool on_document_begin(Code&) { return true; }
    bool on_document_end(Code&) { return true; }
    bool on_array_begin(Code&) {
        frames_.push_back(Frame{.kind = Kind::Array});
        return true;
    }
    bool on_array_end(std::size_t, Code&) {
        Array items = std::move(frames_.back().items);
        frames_.pop_back();
        return put(Value(std::move(items)));
    }
    bool on_object_begin(Code&) {
        frames_.push_back(Frame{.kind = Kind::Object});
        return true;
    }
    bool on_object_end(std::size_t, Code& code) {
        Object object;
        const std::string_view twice = object.adopt(std::move(frames_.back().members));
        if (!twice.empty() || has_empty_key_twice(object)) {
            problem_ = "an object has the same member twice";
            code = bj::error::syntax;
            return false;
        }
        frames_.pop_back();
        return put(Value(std::move(object)));
    }
    bool on_key_part(View part, std::size_t, Code&) { return append(part); }
    bool on_key(View part, std::size_t, Code&) {
        append(part);
        frames_.back().members.emplace_back(std::exchange(text_, {}), Value());
        return true;
    }
    bool on_string_part(View part, std::size_t, Code&) { return append(part); }
    bool on_string(View part, std::size_t, Code&) {
        append(part);
        return put(Value(std::exchange(text_, {})));
    }
    bool on_number_part(View part, Code&) { return append(part); }
    bool on_int64(int64_t number, View, Code&) {
        text_.clear();
        return put(Value(number));
    }
    bool on_uint64(uint64_t number, View, Code&) {
        text_.clear();
        return put(Value(number));
    }
    bool on_double(double, View part, Code& code) {
        append(part);
        return put_double(std::exchange(text_, {}), code);
    }
    bool on_bool(bool value, Code&) { return put(Value(value)); }
    bool on_null(Code&) { return put(Value()); }
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

    // Boost hands a whole number that fits no integer over as a double; its own doubles may be off
    // by one unit in the last place, so the text is read again.
    bool put_double(const std::string& text, Code& code) {
        double number = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        const bool whole = text.find_first_of(".eE") == std::string::npos;
        if (whole || !std::isfinite(number) || error == std::errc::invalid_argument ||
            (error == std::errc::result_out_of_range && !is_tiny(text))) {
            problem_ = "a number is out of range";
            code = bj::error::syntax;
            return false;
        }
        return put(Value(error == std::errc::result_out_of_range ? 0.0 : number));
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

Result<Value> parse(std::string_view text, const ParseLimits& limits) {
    bj::parse_options options;
    options.max_depth = limits.depth_max;
    bj::basic_parser<Builder> parser(options);
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

}  // namespace weir::json

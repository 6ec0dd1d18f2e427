#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "text/output/format.h"
#include "text/output/json_text.h"

namespace weir::text {

// Reads one call written as a JSON object, {"name": "f", "arguments": {…}}, byte by byte; the
// arguments pass as they are written, or decoded where a string holds them. Members may come in any
// order: arguments that come before the name wait for it, up to kEarlyBytesMax.
//
// Threads: one. Constant memory but for that.
class JsonCall {
  public:
    static constexpr size_t kWordBytesMax = 256;  // of a key, a name, an id
    static constexpr size_t kEarlyBytesMax = size_t{64} << 10;

    // `only_calls`: an object with a member that no call has is none, and one without arguments
    // neither.
    JsonCall(const CallFormat& format, bool only_calls)
        : format_(&format), only_calls_(only_calls) {}

    struct Step {
        bool begins = false;  // name() and id() are known, and this is a call
        bool ends = false;    // with this byte
        bool fails = false;   // this byte does not belong there, and was not taken
    };
    // `arguments` gets what follows from this byte, from the one on that begins the call.
    Step feed(char c, std::string& arguments);

    const std::string& name() const { return name_; }
    const std::string& id() const { return id_; }
    // Whether the arguments, once begun, came to their end.
    bool has_whole_arguments() const {
        const bool in_value =
            state_ == State::InText || state_ == State::InTree || state_ == State::InScalar;
        return !(in_value && role_ == Role::Arguments);
    }

  private:
    enum class State : uint8_t { Open, Key, InKey, Colon, Value, InText, InTree, InScalar, After };
    enum class Role : uint8_t { Other, Name, Arguments, Id, Nested };

    Role role_of(std::string_view key) const;
    Step feed_key(char c);
    Step feed_value(char c, std::string& arguments);
    Step end_value(std::string& arguments);
    Step close(std::string& arguments);
    Step begin(std::string& arguments);
    void put(std::string_view bytes, std::string& arguments);

    const CallFormat* format_;
    bool only_calls_;
    State state_ = State::Open;
    Role role_ = Role::Other;
    int depth_ = 0;  // {"function": {…}} is 2
    std::string word_;
    std::string name_;
    std::string id_;
    std::string early_;
    bool begun_ = false;
    bool has_arguments_ = false;
    bool too_long_ = false;
    JsonCursor cursor_;
    JsonStringDecoder decoder_;
};

}  // namespace weir::text

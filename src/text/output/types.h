#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "chat/request.h"
#include "json/value.h"

namespace weir::text {

// The JSON types that a schema allows, as bits.
enum class JsonType : uint8_t {
    None = 0,
    String = 1,
    Number = 2,
    Integer = 4,
    Boolean = 8,
    Null = 16,
    Array = 32,
    Object = 64,
    Any = 127,  // nothing is known
};

constexpr JsonType operator|(JsonType a, JsonType b) {
    return static_cast<JsonType>(static_cast<uint8_t>(a) | static_cast<uint8_t>(b));
}
constexpr bool allows(JsonType types, JsonType type) {
    return (static_cast<uint8_t>(types) & static_cast<uint8_t>(type)) != 0;
}

// What the tools of a request say about their parameters: names and types, which is what is needed
// to read formats that write every value as bare text.
//
// Threads: immutable. Bounded: a schema is followed through at most kDepthMax references and
// branches; beyond that nothing is known.
class ToolTypes {
  public:
    static constexpr int kDepthMax = 8;

    ToolTypes() = default;
    explicit ToolTypes(const std::vector<chat::Tool>& tools);

    bool empty() const { return tools_.empty(); }
    bool has(std::string_view tool) const { return tools_.find(tool) != tools_.end(); }
    JsonType type_of(std::string_view tool, std::string_view parameter) const;

  private:
    struct Tool {
        std::map<std::string, JsonType, std::less<>> parameters;
        JsonType others = JsonType::Any;
    };
    std::map<std::string, Tool, std::less<>> tools_;
};

// A value that a format writes as bare text, as JSON text. A type that only a string can have, and
// one that allows strings beside others, takes the text as it is (but null, and a list or an object
// that is allowed and well formed); other types read JSON, then Python's spelling of it. What is
// none of these is given as a string: what the model said is never lost.
std::string coerce(std::string_view raw, JsonType types);

}  // namespace weir::text

#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir::text {

// How a model writes what is not plain text: one descriptor drives the streaming parser, and says
// to a grammar what to demand. Texts are markers (see Marker): white space in them is loose.
//
// A turn is
//
//     [reasoning_begin … reasoning_end] [content_begin] … [content_end]
//     { section_begin { call } section_end }
//
// where most formats leave most of these empty, and a call is one of
//
//     Json     {"name": "f", "arguments": {…}}, alone, in a list, or several one after the other
//     Named    call_begin  field field_end …  arguments  call_end, arguments being one of
//         Json     {…}
//         Tagged   { parameter_begin key key_end value value_end }
//         Python   a="x", b=[1, None]
//         Quoted   a:<|"|>x<|"|>,b:[1]
struct CallFormat {
    // Around values with what would be markup otherwise (MiniCPM).
    static constexpr std::string_view kRawBegin = "<![CDATA[";
    static constexpr std::string_view kRawEnd = "]]>";

    enum class Kind : uint8_t { None, Json, Named };
    enum class Arguments : uint8_t { Json, Tagged, Python, Quoted };
    enum class Field : uint8_t { Name, Id, Position };  // a call's number in its turn is no id

    struct FieldEnd {
        Field field = Field::Name;
        std::string end;  // empty: white space, or whatever comes next
    };
    // What stands between a parameter's key and its value, and what that says of its type.
    struct KeyEnd {
        enum class Type : uint8_t { BySchema, String, Json };
        std::string text;
        Type type = Type::BySchema;
    };

    Kind kind = Kind::None;
    std::string section_begin;
    std::string section_end;
    // A call may stand without any marker at the beginning of an answer (Llama 3).
    bool bare = false;

    // Json: members beside the usual "name" and "arguments" or "parameters".
    std::string name_key;
    std::string arguments_key;
    bool name_is_key = false;  // {"f": {…}}

    // Named.
    std::string call_begin;
    std::vector<FieldEnd> fields;
    std::string call_end;
    Arguments arguments = Arguments::Json;
    bool name_has_index = false;  // "functions.f:0", which is the call's id too

    // Tagged.
    std::string parameter_begin;
    std::vector<KeyEnd> key_ends;
    std::string value_end;      // after a key's end with kRawBegin: kRawEnd before it
    bool value_padded = false;  // a line feed before and after each value is not part of it

    std::string quote;      // Quoted
    std::string text_name;  // a "call" of this name is the answer's text (Functionary 3.2)

    bool can_call() const { return kind != Kind::None; }
};

struct OutputFormat {
    std::string reasoning_begin;
    std::string reasoning_end;
    std::string content_begin;
    std::string content_end;
    // What the template puts after an answer. Only for text that has it still: an engine ends at
    // the end token.
    std::vector<std::string> ends;
    CallFormat calls;
    // OpenAI's harmony: channels. Nothing of the above applies.
    bool is_harmony = false;
    // The template writes the text of a message that has calls where reasoning stands.
    bool text_of_calls_is_reasoning = false;

    // Whether there is anything to find.
    bool is_plain() const {
        return !is_harmony && reasoning_end.empty() && content_begin.empty() && !calls.can_call();
    }
    // Every text that the parser looks for, without the ends.
    std::vector<std::string_view> markers() const;
};

}  // namespace weir::text

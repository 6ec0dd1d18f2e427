#pragma once

#include "base/result.h"
#include "chat/request.h"
#include "json/fields.h"

namespace weir::api {

// One content part of a message of that role. Users may send text, images, audio and files;
// assistants text and refusals; everybody else text.
Result<chat::ContentPart> read_part(const json::Value& value, std::string path, chat::Role role);

}  // namespace weir::api

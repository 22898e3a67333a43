#pragma once

#include <string>
#include <string_view>

// The web page: the files of agent/web/, which the build copies into the program as they are. What they may do is said
// by the headers in `agent/http_front`: load from here, and nothing else.
namespace ringagent {

struct WebFile {
  std::string path;
  std::string type;
  std::string_view text;
};

// None if there is no such file.
const WebFile* web_file(std::string_view path);

}  // namespace ringagent

#include "agent/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "agent/history.h"
#include "agent/text.h"

namespace ringagent {
namespace {

spdlog::level::level_enum level_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

class JsonLines : public spdlog::formatter {
 public:
  JsonLines(std::string cluster, std::string node) : cluster_(std::move(cluster)), node_(std::move(node)) {}
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    const nlohmann::ordered_json json = {{"time", iso_time(message.time)},
                                         {"level", std::string(spdlog::level::to_string_view(message.level).data())},
                                         {"cluster", cluster_},
                                         {"node", node_},
                                         {"text", std::string(message.payload.data(), message.payload.size())}};
    const std::string line = json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
    out.append(line.data(), line.data() + line.size());
  }
  std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<JsonLines>(*this); }

 private:
  const std::string cluster_;
  const std::string node_;
};

}  // namespace

void set_up_log(LogLevel level, bool json, const std::string& cluster, const std::string& node) {
  auto logger = std::make_shared<spdlog::logger>("ringagent", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  if (json) {
    logger->set_formatter(std::make_unique<JsonLines>(cluster, node));
  } else {
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %^%l%$ %v", spdlog::pattern_time_type::utc);
  }
  logger->set_level(level_of(level));
  spdlog::set_default_logger(std::move(logger));
}

void log_line(LogLevel level, const std::string& text) {
  spdlog::log(level_of(level), "{}", printable(text));
}

}  // namespace ringagent

#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "agent/cli.h"

int main(int argc, char** argv) {
  try {
    return ringagent::run_cli({argv + 1, argv + argc}, std::cout, std::cerr);
  } catch (const std::exception& error) {
    std::cerr << "ringagent: this is a bug, please report it: " << error.what() << "\n";
    return 70;
  }
}

'use strict';

exports.round = function round(value, digits = 2) {
  const factor = 10 ** digits;
  return Math.round(value * factor) / factor;
};

exports.clamp = function clamp(value, low, high) {
  if (value < low) {
    return low;
  }
  return value > high ? high : value;
};

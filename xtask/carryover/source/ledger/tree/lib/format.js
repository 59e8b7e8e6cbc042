'use strict';

const WIDTH = 8;

function pad(value, width) {
  let text = String(value);
  while (text.length < (width || WIDTH)) {
    text = ' ' + text;
  }
  return text;
}

exports.format = (book) => {
  const lines = [`${book.owner}:`];
  for (const { name, amount } of book) {
    lines.push(pad(name) + pad(amount));
  }
  return lines.join('\n');
};

exports.html = function (book) {
  let rows = '';
  for (const { name, amount } of book) {
    rows += `<tr><td>${name}</td><td>${amount}</td></tr>`;
  }
  return '<table>' + rows + '</table>';
};

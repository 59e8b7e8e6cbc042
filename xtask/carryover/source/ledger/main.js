const ledger = require('ledger');
const book = new ledger.Book('ada');
for (const [name, amount] of [['rent', -700], ['wage', 1500], ['tea', -4], ['gift', 20]]) book.enter(name, amount);
console.log(book.balance, book.largest(2), ledger.format(book));
try { book.enter('', 1); } catch (error) { console.log('refused:', error.message); }
console.log([...ledger.chunks([1, 2, 3, 4, 5], 2)], ledger.compose((x) => x + 1, (x) => x * 2)(5));

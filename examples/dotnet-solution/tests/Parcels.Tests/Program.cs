using System;
using System.Collections.Generic;

namespace Parcels.Tests
{
    public static class Program
    {
        private static readonly Dictionary<string, Action> Checks = new Dictionary<string, Action>
        {
            ["a small parcel pays by weight"] = () =>
                Equal(3.90m + (0.55m * 2), new Tariff().Price(new Parcel(1.2m, 10, 10, 10), Zone.Domestic)),
            ["a bulky parcel pays by volume"] = () =>
                Equal(20m, new Parcel(1, 100, 50, 20).ChargeableWeight),
            ["farther is dearer"] = () =>
            {
                var parcel = new Parcel(2, 20, 20, 20);
                var tariff = new Tariff();
                Holds(tariff.Price(parcel, Zone.Domestic) < tariff.Price(parcel, Zone.Neighbour));
                Holds(tariff.Price(parcel, Zone.Neighbour) < tariff.Price(parcel, Zone.World));
            },
            ["a surcharge is added and rounded to cents"] = () =>
                Equal(5.40m, new Tariff(0.08m).Price(new Parcel(2, 10, 10, 10), Zone.Domestic)),
            ["a parcel nobody may carry is refused"] = () =>
                Throws<ArgumentException>(() => new Tariff().Price(new Parcel(31.6m, 10, 10, 10), Zone.World)),
            ["a parcel without weight is refused"] = () =>
                Throws<ArgumentOutOfRangeException>(() => new Parcel(0, 10, 10, 10)),
        };

        public static int Main()
        {
            var failed = 0;
            foreach (var check in Checks)
            {
                try
                {
                    check.Value();
                    Console.WriteLine($"passed  {check.Key}");
                }
                catch (Exception error)
                {
                    failed++;
                    Console.WriteLine($"FAILED  {check.Key}: {error.Message}");
                }
            }

            Console.WriteLine($"{Checks.Count - failed} of {Checks.Count} checks passed");
            return failed == 0 ? 0 : 1;
        }

        private static void Equal(decimal expected, decimal actual) =>
            Holds(expected == actual, $"expected {expected}, got {actual}");

        private static void Holds(bool truth, string otherwise = "does not hold")
        {
            if (!truth)
            {
                throw new InvalidOperationException(otherwise);
            }
        }

        private static void Throws<TError>(Action action)
            where TError : Exception
        {
            try
            {
                action();
            }
            catch (TError)
            {
                return;
            }

            throw new InvalidOperationException($"expected a {typeof(TError).Name}");
        }
    }
}
